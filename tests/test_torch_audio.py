"""Libraries that import torchaudio work beside a CPU build of torch; each in its own process."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


def run(code: str, *more: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", code, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(find_spec("torchaudio") is None, reason="torchaudio is not installed")
def test_audio_libraries_import_after_prepare() -> None:
    out = run(
        "from mmdia_eval.torch_audio import prepare\nprepare()\n"
        "import os\n"
        "from transformers import WhisperForConditionalGeneration, Wav2Vec2ForCTC\n"
        "import torchaudio, torch\n"
        "print(torchaudio.functional.resample(torch.ones(1, 480), 48000, 16000).shape[1])\n"
        "from speechbrain.inference.speaker import EncoderClassifier\n"
        "import pyannote.audio\n"
        "print(os.environ['PYANNOTE_METRICS_ENABLED'])\n"
    )
    assert out.split() == ["160", "0"]


def test_nothing_is_replaced_where_torchaudio_is_absent() -> None:
    out = run(
        "import importlib.util, sys\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda n, *a: None if n == 'torchaudio' else real(n, *a)\n"
        "from mmdia_eval.torch_audio import prepare\nprepare()\n"
        "print('torchaudio._extension' in sys.modules, 'torch' in sys.modules)\n"
    )
    assert out == "False False"


@pytest.mark.parametrize(("version", "replaced"), [("2.11.0+cu130", True), ("2.11.0+cpu", False)])
def test_only_a_cuda_build_beside_a_cpu_build_is_replaced(
    tmp_path: Path, version: str, replaced: bool
) -> None:
    (tmp_path / "torchaudio").mkdir()
    (tmp_path / "torchaudio" / "__init__.py").write_text("")
    (tmp_path / "torchaudio" / "version.py").write_text(f"__version__ = '{version}'\n")
    (tmp_path / "torch.py").write_text("class version:\n    cuda = None\n")
    out = run(
        "import sys\nsys.path.insert(0, sys.argv[1])\n"
        "from mmdia_eval.torch_audio import prepare\nprepare()\n"
        "print('torchaudio._extension' in sys.modules)\n",
        str(tmp_path),
    )
    assert out == str(replaced)
