"""What a version's own code may do to a gate, and what the gate makes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from python_shop import Make, ask, make_folder, said

from finetune_gate.evaluators.asking import Failed, GenerateRequest, Generation, Message, ScoreRequest
from finetune_gate.evaluators.errors import ModelError
from finetune_gate.gate.models import Model
from finetune_gate.gate.models.inspecting import inspect_model
from finetune_gate.gate.pins import PythonModel
from finetune_gate.gate.python_models import PythonPredictions

pytestmark = pytest.mark.slow

NOISY = "no\\x1b[31m http://host/"


def gone(process_id: int) -> bool:
    """Whether there is no such process, not even a zombie of this one."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return True
        # a grandchild is reaped by whoever adopts it, which may be nobody in a container
        status = Path(f"/proc/{process_id}/status")
        if status.exists() and "\nPPid:\t1\n" in status.read_text() and "zombie" in status.read_text():
            return True
        time.sleep(0.05)
    return False


def refused(model: PythonPredictions, *texts: str) -> str:
    with pytest.raises(ModelError) as caught:
        ask(model, *texts)
    return str(caught.value)


def test_what_comes_back(make: Make) -> None:
    """One worker, every kind of prediction; what one row does is not the others' fault."""
    model = make()
    long = "it is\nlong"
    assert said(model, "hello", "seven", "half", "true", "hello", long) == ["hello", "7", "0.5", "True", "hello", long]
    assert said(model, "alone") == ["alone"]
    assert said(model, "dict", "none", "nan", "long 100001", "surrogate", "fine") == [
        "!the prediction is a dict, and not a text, number or truth value",
        "!the prediction is a NoneType, and not a text, number or truth value",
        "!the prediction is nan",
        "!the prediction has 100,001 characters",
        "?",
        "fine",
    ]
    assert said(model, "a", "raise", "b", "c", "raise on purpose", "d", "e") == [
        *("a", f"!the model raised ValueError: {NOISY}", "b", "c"),
        *("!the model raised ValueError: on purpose", "d", "e"),
    ]
    assert said(model, "raise x") == ["!the model raised ValueError: x"]
    assert said(model, "print", "after") == ["print", "after"]


def test_it_is_a_model(make: Make) -> None:
    model = make()
    asked: Model = model
    assert (asked.abilities, asked.batched) == ({"generates"}, True)
    assert asked.facts()["flavor"] == "python_function"
    chat = (Message("system", "Be brief."), Message("user", "hello. END and more"))
    requests = [GenerateRequest(chat, stop=("END",), temperature=1.0, sample=i, seed=i) for i in range(2)]
    requests.append(GenerateRequest("Be brief.\n\nhello. END and more"))
    answers: dict[int, object] = {}
    model.generate(requests, answers.__setitem__)
    assert answers == {
        0: Generation("Be brief.\n\nhello. ", "stop", 0),
        1: Generation("Be brief.\n\nhello. ", "stop", 0),
        2: Generation("Be brief.\n\nhello. END and more", "stop", 0),
    }
    first, second, plain = model.addresses(requests)
    assert first == second != plain
    model.score([ScoreRequest("a", "b")], answers.__setitem__)
    assert answers[0] == Failed("a prediction has no log-likelihoods")
    assert (model.tokens(requests).read, model.tokens(requests).exact) == (8, False)


def test_many_rows(make: Make) -> None:
    texts = [f"row {number}" for number in range(200)]
    assert said(make(), *texts) == texts


def test_the_signature_names_the_column(make: Make) -> None:
    one = json.dumps([{"type": "string", "name": "question", "required": True}])
    assert said(make(one, column="question"), "hello") == ["hello"]
    two = json.dumps([{"type": "string", "name": name, "required": True} for name in "ab"])
    assert "its signature needs 2 inputs (a, b), and a prompt is one text" in refused(make(two), "x")


@pytest.mark.parametrize(
    ("whole", "message"),
    [
        ("none", "it returned NoneType, and not one value per row"),
        ("fewer", "it returned 1 predictions for 2 rows"),
    ],
)
def test_not_one_value_per_row(make: Make, whole: str, message: str) -> None:
    assert message in refused(make(whole=whole), "only one")


def test_no_secret_reaches_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "PYTHONPATH"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:hunter2@host")
    (answer,) = said(make(), "environment")
    assert "hunter2" not in answer
    found = json.loads(answer)
    assert found["HOME"] == found["TMPDIR"] == found["cwd"] != os.environ["HOME"]
    assert found["OMP_NUM_THREADS"] == "1"
    allowed = {"HOME", "TMPDIR", "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "cwd", "argv"}
    assert not [
        name
        for name in found.keys() - allowed
        if not name.endswith(("_OFFLINE", "_THREADS", "LIBRARY_PATH")) and not name.startswith(("MLFLOW_", "SK"))
    ]


def test_nothing_is_left_behind(make: Make, tmp_path: Path) -> None:
    model = make(notes=str(tmp_path / "notes"))
    before = model.digest
    assert said(model, "hello") == ["hello"]
    worker, child, folder = json.loads((tmp_path / "notes").read_text())
    assert Path(folder).is_dir()
    model.release()
    assert gone(worker)
    assert gone(child)
    assert not Path(folder).exists()
    assert inspect_model(tmp_path / "model-0", trust_code=True).digest == before
    assert said(model, "again") == ["again"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hang", "it cannot predict: no answer within 2 s"),
        ("babble", "it cannot predict: no answer within 2 s; its last words: "),
        ("exit 3", r"it ended: exit status 3; its last words: about to\x1b[31m leave | http://host/"),
        ("kill", "it ended: signal SIGKILL, as where memory runs out"),
        ("shout ffffffff", "it answered with 4,294,967,299 bytes, more than 67,108,864"),
        ("shout 000000027b5d", "what it said is no message"),
        ("shout 000000027b7d7b7d", "it said more than it was asked"),
        ("shout 000000027b7d", "its process did not keep to the protocol"),
    ],
)
def test_it_breaks_while_it_is_asked(make: Make, tmp_path: Path, text: str, message: str) -> None:
    model = make(batch_seconds=2.0 if text in ("hang", "babble") else 60.0, notes=str(tmp_path / "notes"))
    assert message in refused(model, text)
    model.release()
    worker, child, folder = json.loads((tmp_path / "notes").read_text())
    assert gone(worker)
    assert gone(child)
    assert not Path(folder).exists()


@pytest.mark.parametrize(
    ("at_load", "message"),
    [
        ("hang", "it cannot be loaded: no answer within 8 s"),
        ("exit 0", "it ended: exit status 0"),
        ("raise", f"it cannot be loaded: it raised ValueError: {NOISY}"),
        ("missing langchain", "the Python package 'langchain' is not installed"),
    ],
)
def test_it_breaks_while_it_is_loaded(make: Make, tmp_path: Path, at_load: str, message: str) -> None:
    model = make(load_seconds=8.0 if at_load == "hang" else 120.0, at_load=at_load, notes=str(tmp_path / "notes"))
    found = refused(model, "hello")
    assert message in found
    assert "hunter2" not in found
    if (tmp_path / "notes").exists():  # it may not have come so far
        assert all(gone(process) for process in json.loads((tmp_path / "notes").read_text())[:2])


def test_a_killed_gate_takes_it_along(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", notes=str(tmp_path / "notes"))
    script = f"""
from pathlib import Path
from finetune_gate.evaluators.asking import GenerateRequest
from finetune_gate.gate.models.inspecting import inspect_model
from finetune_gate.gate.pins import PythonModel
from finetune_gate.gate.python_models import PythonPredictions
model = PythonPredictions(inspect_model(Path({str(folder)!r}), trust_code=True))
model.generate([GenerateRequest("hang")], print)
"""
    gate = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path)
    try:
        until = time.monotonic() + 90
        while not (tmp_path / "notes").exists() and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(0.5)
    finally:
        gate.send_signal(signal.SIGKILL)
        gate.wait(10)
    worker, child, scratch = json.loads((tmp_path / "notes").read_text())
    assert gone(worker)
    assert gone(child)
    assert not Path(scratch).exists()


@pytest.mark.parametrize("logged", ["series", "table"])
def test_scikit_learn_gets_what_it_was_fitted_on(tmp_path: Path, logged: str) -> None:
    """MLflow can write the same signature for a pipeline on texts and for one on a table."""
    import mlflow
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts, labels = ["refund my invoice", "the app crashes"], ["billing", "bug"]
    given = pd.DataFrame({"ticket": texts})
    vectors = ColumnTransformer([("v", TfidfVectorizer(), "ticket")]) if logged == "table" else TfidfVectorizer()
    pipeline = make_pipeline(vectors, LogisticRegression()).fit(given if logged == "table" else texts, labels)
    signature = infer_signature(given, labels)
    mlflow.sklearn.save_model(pipeline, tmp_path / "model", pip_requirements=[], signature=signature)
    source = inspect_model(tmp_path / "model", trust_code=True)
    assert isinstance(source, PythonModel)
    model = PythonPredictions(source)
    try:
        assert said(model, "a refund", "it crashes", "refund") == ["billing", "bug", "billing"]
        assert said(model, "crashes") == ["bug"]
    finally:
        model.release()
