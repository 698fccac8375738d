"""`rnnlint doctor` runs scripts: they do what they do without it, and it tells what they showed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest
from observed import CHECKOUT, ENVIRONMENT, MODEL, Done, alone, observed
from published import snippets

LOOP = "for number in range(6):\n    print(number, step())\nprint(digest(net))\n"

SAME = {
    "a loop": LOOP,
    "options of its own": "print(sys.argv, __name__, __file__, sys.path[0])\n" + LOOP,
    "code 3": LOOP + "sys.exit(3)\n",
    "a text at its end": LOOP + "sys.exit('no data left')\n",
    "True at its end": LOOP + "sys.exit(True)\n",
    "os._exit": LOOP + "sys.stdout.flush()\nos._exit(4)\n",
    "at exit": "import atexit\natexit.register(lambda: print(digest(net)))\nstep()\n",
    "an error of its own": "def fail():\n    step()\n    raise KeyError('x')\nfail()\n",
    "an error in a layer": "step()\nnet(torch.zeros(2, 3))\n",
    "an error in the first batch": "net.lstm(torch.zeros(2, 3, 5))\n",
    "an error in a backward pass": (
        "loss = F.cross_entropy(net(x), y)\nloss.backward()\nloss.backward()\n"
    ),
    "an error from an error": (
        "try:\n    net(None)\nexcept TypeError as error:\n    raise ValueError('no') from error\n"
    ),
    "a syntax error": "def broken(:\n",
    "excepthook": "sys.excepthook = lambda *error: print('mine', error[1])\nstep()\n1 / 0\n",
    "except Exception": (
        "for number in range(6):\n"
        "    try:\n        print(step())\n    except Exception:\n        pass\n"
        "print(digest(net))\n"
    ),
    "copies and files": (
        "step()\ntorch.save(net, 'net.pt')\ntwin = copy.deepcopy(net)\n"
        "again = torch.load('net.pt', weights_only=False)\n"
        "other = pickle.loads(pickle.dumps(optimizer))\n"
        "copy.deepcopy(optimizer)\n"
        "print(digest(net, twin, again), type(other).__name__, len(twin.lstm._forward_hooks))\n"
        "print(b'rnnlint' in open('net.pt', 'rb').read())\n" + LOOP
    ),
    "workers": (
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "loader = DataLoader(TensorDataset(x, y), batch_size=3, num_workers=1)\n"
        "for epoch in range(2):\n    for x, y in loader:\n        print(step())\n"
        "print(digest(net))\n"
    ),
    "two models": (
        "judge = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))\n"
        "judging = torch.optim.SGD(judge.parameters(), lr=0.01)\n"
        "for number in range(5):\n"
        "    judging.zero_grad()\n"
        "    real = judge(torch.randn(6, 2)).mean() - judge(net(x).detach()).mean()\n"
        "    real.backward()\n    judging.step()\n"
        "    optimizer.zero_grad()\n    (-judge(net(x)).mean()).backward()\n"
        "    nn.utils.clip_grad_norm_(net.parameters(), 1.0)\n    optimizer.step()\n"
        "print(digest(net, judge))\n"
    ),
    "accumulation": (
        "for number in range(12):\n"
        "    (F.cross_entropy(net(x), y) / 3).backward()\n"
        "    if number % 3 == 2:\n"
        "        optimizer.step()\n"
        "        for p in net.parameters():\n            p.grad.data.zero_()\n"
        "print(digest(net))\n"
    ),
    "LBFGS": (
        "optimizer = torch.optim.LBFGS(net.parameters(), max_iter=3)\nnet.eval()\n"
        "def closure():\n"
        "    optimizer.zero_grad()\n    loss = F.cross_entropy(net(x), y)\n"
        "    loss.backward()\n    return loss\n"
        "for number in range(3):\n    print(optimizer.step(closure).item())\n"
        "print(digest(net))\n"
    ),
    "compiled": (
        "torch.compiler.reset()\nplain, net = net, torch.compile(net, backend='eager')\n"
        "loss_of = torch.compile(F.mse_loss, backend='eager', fullgraph=True)\n"
        "for number in range(4):\n    print(step())\n"
        "print(loss_of(net(x), torch.zeros(6, 2)).item(), digest(plain))\n"
    ),
    "mixed precision": (
        "scaler = torch.amp.GradScaler('cpu', init_scale=1024.0)\n"
        "for number in range(4):\n"
        "    optimizer.zero_grad()\n"
        "    with torch.autocast('cpu', dtype=torch.bfloat16):\n"
        "        loss = F.cross_entropy(net(x), y)\n"
        "    scaler.scale(loss).backward()\n    scaler.step(optimizer)\n    scaler.update()\n"
        "    print(loss.item())\n"
    ),
    "warnings that are errors": "import warnings\nwarnings.simplefilter('error')\n" + LOOP,
    "no training": "print(digest(net))\n",
    "no recurrent layer": (
        "net = nn.Linear(3, 2)\noptimizer = torch.optim.SGD(net.parameters(), lr=0.1)\n"
        "x = torch.randn(6, 3)\n" + LOOP
    ),
}


@pytest.mark.parametrize("script", SAME.values(), ids=SAME)
def test_a_script_does_what_it_does_without_observation(tmp_path: Path, script: str) -> None:
    (tmp_path / "train.py").write_text(MODEL + script)
    command = ("train.py", "--steps", "2", "-m", "--", "--safe")
    expected, done = alone(tmp_path, *command), observed(tmp_path, "--steps", "0", *command)
    assert (done.code, done.out) == (expected.code, expected.out)
    # All that it adds is where the diagnosis is.
    assert done.err.splitlines()[:-1] == expected.err.splitlines()
    assert done.err.splitlines()[-1].startswith("The diagnosis of train.py --steps 2 -m --")
    assert not done.found["run"]["surprises"]


def counted(script: str, tmp_path: Path, *options: str) -> Done:
    (tmp_path / "train.py").write_text(MODEL + script)
    return observed(tmp_path, *options, "train.py")


def test_losses_are_those_before_scaling(tmp_path: Path) -> None:
    done = counted(SAME["mixed precision"], tmp_path)
    losses = done.found["run"]["history"]["losses"]["values"]
    assert [loss for _, loss in losses] == pytest.approx([float(x) for x in done.out.split()])


def test_what_clears_gradients_by_hand_clears_them(tmp_path: Path) -> None:
    run = counted(SAME["accumulation"], tmp_path).found["run"]
    assert (run["looked"], run["accumulated"], run["history"]["steps"]) == (3, 0, 4)


def test_a_range_test_is_none_of_the_script_s_steps(tmp_path: Path) -> None:
    stateless = "Net.forward = lambda net, x: net.out(net.lstm(net.embedding(x))[0][:, -1])\n"
    run = counted(stateless + LOOP, tmp_path, "--range-test").found["run"]
    assert run["range_test"]["rates"]
    assert (run["history"]["steps"], run["history"]["clip_calls"]) == (6, 6)
    assert len(run["history"]["losses"]["values"]) == 6


def test_gradients_that_are_never_cleared_are_a_reason(tmp_path: Path) -> None:
    loop = (
        "for number in range(5):\n    F.cross_entropy(net(x), y).backward()\n    optimizer.step()\n"
    )
    done = counted(loop, tmp_path)
    assert (done.found["run"]["looked"], done.found["run"]["accumulated"]) == (4, 4)
    first = done.found["reasons"][0]
    assert first.get("code") == "RNN206"
    assert first["verdict"] == "confirmed"
    assert "4 steps of 4" in first["evidence"]


def test_the_readme_shows_what_it_says(tmp_path: Path) -> None:
    (block,) = snippets("text", "Doctor")
    program = CHECKOUT / "benchmarks" / "programs" / "last_step_of_padding" / "faulty.py"
    shutil.copy(program, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "rnnlint", "doctor", program.name],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    # How many steps are sampled depends on what the machine has to do, and shares on the sample.
    shown, said = (re.sub(r"\d+%", "N%", words) for words in (block, done.stderr))
    reason = shown.partition("\n\n")[2].rstrip()
    assert reason.startswith("1. RNN101")
    assert reason in said


# --- where it ends ---------------------------------------------------------------------


def test_a_script_is_ended_after_some_steps(tmp_path: Path) -> None:
    caught = (
        "while True:\n    try:\n        step()\n    except Exception:\n        print('caught')\n"
    )
    done = counted(caught, tmp_path, "--steps", "3")
    assert (done.code, done.out) == (0, "")
    assert (done.found["run"]["ended"], done.found["run"]["history"]["steps"]) == ("budget", 3)


def test_one_without_recurrent_layers_is_ended_too(tmp_path: Path) -> None:
    loop = (
        "net = nn.Linear(3, 2)\noptimizer = torch.optim.SGD(net.parameters(), lr=0.1)\n"
        "x = torch.randn(6, 3)\nwhile True:\n    print(net.weight.requires_grad)\n    step()\n"
    )
    done = counted(loop, tmp_path, "--steps", "3")
    assert (done.code, done.out.count("True"), done.found["run"]["ended"]) == (0, 3, "budget")


def test_a_script_is_ended_after_some_seconds(tmp_path: Path) -> None:
    done = counted("while True:\n    step()\n", tmp_path, "--steps", "0", "--seconds", "0.5")
    assert (done.code, done.found["run"]["ended"]) == (0, "budget")
    assert done.found["run"]["history"]["steps"] > 0


def test_ctrl_c_ends_the_script_and_still_gives_the_report(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        MODEL + "print('begun', step(), flush=True)\nwhile True:\n    step()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "rnnlint", "doctor", "--steps", "0", "train.py"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("begun")
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip().startswith("Why training fails\ntrain.py: ")
    assert "then it was interrupted" in said
    assert "Traceback" not in said


# --- what is run -----------------------------------------------------------------------


def test_a_module_is_run_as_python_runs_it(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "__init__.py").write_text("")
    (tmp_path / "project" / "sizes.py").write_text("STEPS = 3\n")
    loop = "from .sizes import STEPS\nprint(sys.argv, __name__, [step() for _ in range(STEPS)])\n"
    (tmp_path / "project" / "train.py").write_text(MODEL + loop)
    done = observed(tmp_path, "-m", "project.train", "-x")
    assert done.out == alone(tmp_path, "-m", "project.train", "-x").out
    assert done.found["command"] == ["-m", "project.train", "-x"]
    assert {Path(path).name for path in done.found["run"]["files"]} >= {"train.py", "sizes.py"}


def test_a_script_imports_what_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "session.py").write_text("NAME = 'mine'\n")
    (tmp_path / "code" / "train.py").write_text(MODEL + "import session\nprint(session.NAME)\n")
    done = observed(tmp_path, "code/train.py")
    assert (done.code, done.out) == (0, "mine\n")


def test_nothing_of_rnnlint_s_folder_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import os, sys\nprint(sys.path, 'PYTHONPATH' in os.environ)\nimport torch\n"
    )
    clean = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONPATH"}
    doctor = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); from rnnlint.cli import main; "
    seen = []
    for begin in ([], ["-c", doctor + "sys.exit(main())", "doctor"]):
        done = subprocess.run(
            [sys.executable, *begin, "train.py"],
            cwd=tmp_path,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
        )
        seen.append(done.stdout)
    assert seen[0]
    assert seen[0] == seen[1]


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    done = observed(tmp_path, "gone.py")
    assert done.code == 2
    assert done.err == "error: there is no file 'gone.py': name a script, or -m a module\n"


def test_an_interpreter_without_torch_is_named(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    (tmp_path / "train.py").write_text("print(1)\n")
    python = str(tmp_path / "bare" / "bin" / "python")
    done = observed(tmp_path, "--python", python, "train.py")
    assert done.code == 2
    # One line, which says who, what, and what to do.
    (said,) = done.err.splitlines()
    assert said.startswith(f"error: '{python}' cannot observe: ")
    assert "needs PyTorch" in said
    assert said.endswith("pip install 'rnnlint[runtime]'")


def test_a_killed_script_is_no_diagnosis(tmp_path: Path) -> None:
    done = counted("os.kill(os.getpid(), 9)\n", tmp_path)
    assert done.code == 2
    assert "the script ended with signal 9 before anything could be written down" in done.err


# --- what is saved ---------------------------------------------------------------------


def test_safe_overwrites_no_checkpoint(tmp_path: Path) -> None:
    script = (
        "import shutil\nfrom pathlib import Path\n"
        "print(digest(net) == torch.load('net.pt')['old'])\nstep()\n"
        "torch.save({'new': digest(net)}, 'net.pt')\n"
        "torch.save({'new': digest(net)}, Path('fresh.pt'))\n"
        "shutil.copy('net.pt', 'best.pt')\nos.replace('fresh.pt', 'moved.pt')\n"
        "for name in ('net.pt', 'best.pt', 'moved.pt'):\n"
        "    print(digest(net) == torch.load(name)['new'])\n"
    )
    first = "torch.save({'old': digest(net)}, 'net.pt')\ntorch.save({}, 'best.pt')\n"
    (tmp_path / "first.py").write_text(MODEL + first)
    assert alone(tmp_path, "first.py").code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.pt")}
    done = counted(script, tmp_path, "--safe")
    assert (done.code, done.out.split()) == (0, ["True"] * 4)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.pt")} == before


def test_without_safe_files_are_the_script_s(tmp_path: Path) -> None:
    assert counted("step()\ntorch.save(net.state_dict(), 'net.pt')\n", tmp_path).code == 0
    assert (tmp_path / "net.pt").exists()


# --- a surprise ------------------------------------------------------------------------


def test_what_cannot_be_looked_at_is_said_and_the_script_goes_on(tmp_path: Path) -> None:
    surprise = (
        "class Odd(nn.GRU):\n"
        "    def register_forward_hook(self, *args, **kwargs):\n"
        "        raise RuntimeError('no hooks here')\n"
        "odd = Odd(2, 2)\nprint(odd(torch.zeros(1, 1, 2))[0].shape)\n"
    )
    done = counted(surprise + LOOP, tmp_path)
    assert done.code == 0
    assert done.found["run"]["history"]["steps"] == 6
    assert done.found["run"]["surprises"] == ["a recurrent layer (RuntimeError: no hooks here)"]
