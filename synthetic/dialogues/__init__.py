"""Generated videos of drawn people and Chinese dialogues about them, in TikTalkCoref's files.

Videos of one to four people are staged (`moving.py`) and drawn (`people.py`, `drawing.py`), two
viewers talk about who is seen (`telling.py`), and `writing.py` puts it all into files that
`tools/data_split.py` and the ordinary readers read.

The video matters: the text often says only by their looks which of two people is meant.
Celebrities recur over dialogues under one name and with one face, so that names can be learned.
"""

from synthetic.dialogues.writing import write_dialogues

__all__ = ["write_dialogues"]
