"""Choosing the device to compute on."""

from __future__ import annotations

import torch
from torch.distributed import is_torchelastic_launched

from utils.distributed.launch import Launch, read_launch
from utils.errors import InputError


def choose_device(name: str) -> torch.device:
    """Return the device of a name; "auto" is the GPU where there is one.

    Where a launcher started several ranks, "auto" and "cuda" are this rank's own GPU.

    Raises:
        InputError: the name is no device, there is no such device here, or the launcher says what
            it cannot.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    launch = read_launch()
    own = f"cuda:{_number_of_gpu(launch)}"
    if name == "cuda":
        name = own
    elif name.startswith("cuda") and name != own and launch.world_size > 1:
        raise InputError(f"--device {name}: each of several ranks takes its own GPU, here {own}")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"--device {name!r}: expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device {name!r}: expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"--device {name}: there are {torch.cuda.device_count()} CUDA devices "
            "(--device auto takes the CPU where there is none)"
        )
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type that matrix products are computed in.

    Args:
        name: float32, bfloat16 or auto; "auto" is bfloat16 where the device multiplies it faster.
    """
    if name == "auto":
        name = "bfloat16" if _multiplies_bfloat16(device) else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def _number_of_gpu(launch: Launch) -> int:
    """Return the GPU of this rank: its place on the machine, or the only one that SLURM shows."""
    if torch.cuda.device_count() == 1 and not is_torchelastic_launched():
        return 0
    return launch.local_rank


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Not every version of torch tells.
    tell = getattr(torch.cpu, "get_capabilities", dict)
    return bool({"avx512_bf16", "amx_bf16"} & {name for name, has in tell().items() if has})
