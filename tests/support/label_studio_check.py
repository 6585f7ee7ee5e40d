"""What Label Studio's own checks refuse in a configuration and its tasks, as a JSON list.

It runs in an environment of its own, which has nothing of this project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from label_studio_sdk.label_interface import LabelInterface


def main(config: Path, tasks: Path) -> None:
    interface = LabelInterface(config.read_text(encoding="utf-8"))
    interface.validate()
    refused = []
    for task in json.loads(tasks.read_text(encoding="utf-8")):
        if not interface.validate_task({"data": task["data"]}):
            refused.append(f"{task['data']['id']}: its data")
        for prediction in task.get("predictions", []):
            refused += interface.validate_prediction(prediction, return_errors=True)
            if not interface.validate_annotation(prediction):
                refused.append(f"{task['data']['id']}: as an annotation")
    print(json.dumps(refused))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
