"""Of what is on a disk already, only what fastpatch wrote is ever removed, emptied or written through."""

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sweep_cases import SPEC, content, threaded_client

import fastpatch as fp
from fastpatch.atomic import atomic_path, exclusive_directory, remove_leftovers, writable_directory
from fastpatch.errors import OutputError, ResultFileError
from fastpatch.sweeps.files import SweepFiles

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and locks are those of POSIX")

ONE = {**SPEC, "parameters": {"shape": 8, "steps": 15, "trajectories": 1, "solver": "ancestral"}}


@pytest.fixture(scope="module")
def client():
    with threaded_client() as client:
        yield client


@pytest.fixture
def swept(client, tmp_path):
    fp.sweep(ONE, tmp_path / "sweep", client)
    return tmp_path / "sweep"


@pytest.fixture
def theirs(tmp_path):
    """A user's directory with files like those that a sweep removes: hidden ones, and a staged point."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name in (".profile", f"{'0' * 32}.npz", "x.npz", "notes.txt", "000000.json"):
        (folder / name).write_text("precious")
    return folder


def unharmed(folder):
    return len(list(folder.iterdir())) == 5 and all(path.read_text() == "precious" for path in folder.iterdir())


def test_a_lock_that_is_a_link_is_refused_and_its_target_left_alone(client, swept, theirs, tmp_path):
    (swept / ".lock").symlink_to(theirs / "notes.txt")
    with pytest.raises(OutputError, match=r"\.lock cannot be locked \(it is a link\); expected a directory of one's"):
        fp.sweep(ONE, swept, client)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / ".lock").symlink_to(theirs / "notes.txt")
    with pytest.raises(ResultFileError, match=r"fresh holds \.lock and no manifest\.json; expected a new or empty"):
        fp.sweep(ONE, fresh, client)
    assert unharmed(theirs)


@pytest.mark.parametrize("name", ["staged", "commits", "sweep.zarr", "sweep.zarr/xi_x"])
def test_a_folder_that_is_a_link_is_refused_and_nothing_in_it_removed(name, client, swept, theirs):
    os.rename(swept / name, swept / "aside")
    (swept / name).symlink_to(theirs, target_is_directory=True)
    with pytest.raises(OutputError, match=rf"{name} is a link; expected a sweep's own"):
        fp.sweep(ONE, swept, client)
    assert unharmed(theirs)


@pytest.mark.parametrize("name", ["commits/000000.json", "sweep.zarr/zarr.json"])
def test_files_of_a_sweep_are_not_written_through_links(name, client, swept, theirs):
    (swept / name).unlink()
    (swept / name).symlink_to(theirs / "notes.txt")
    with pytest.raises(OutputError, match=r"json is a link; expected a sweep's own file"):
        fp.sweep(ONE, swept, client)
    assert unharmed(theirs)


@pytest.mark.parametrize(
    "name", ["staged/x.npz", f"staged/{'0' * 32}.npz", "notes.txt", ".profile", "commits/000000.json"]
)
def test_a_directory_that_holds_something_else_is_refused_before_anything_is_written(name, tmp_path, client):
    directory = tmp_path / "study"
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text("precious")
    with pytest.raises(ResultFileError, match=r"study holds \S+ and no manifest\.json; expected a new or empty dir"):
        fp.sweep(ONE, directory, client)
    assert [path.read_text() for path in directory.rglob("*") if path.is_file()] == ["precious"]


def test_what_users_put_beside_a_sweep_stays(client, swept):
    added = [swept / "notes.txt", swept / "staged" / "x.npz", swept / "staged" / ".hidden", swept / "commits" / ".x"]
    for path in added:
        path.write_text("precious")
    superfluous = swept / "staged" / f"{'0' * 32}.npz"
    superfluous.write_bytes(b"a point that this sweep has not")
    fp.sweep(ONE, swept, client)
    assert all(path.read_text() == "precious" for path in added)
    assert not superfluous.exists()


def test_a_sweep_that_died_before_its_manifest_goes_on(client, tmp_path):
    directory = tmp_path / "study"
    with SweepFiles(directory).in_use():
        pass
    (directory / ".fastpatch-0123456789abcdef.json").write_bytes(b"half a manifest")
    fp.sweep(ONE, directory, client)
    assert not [name for name in content(directory) if ".fastpatch-" in name]


HOLDER = """
import sys
from fastpatch.atomic import exclusive_directory
with exclusive_directory(sys.argv[1], "training"):
    pass
"""


def test_one_process_at_a_time_has_a_directory_and_the_lock_files_content_stays(tmp_path):
    (tmp_path / ".lock").write_text("kept")
    with exclusive_directory(tmp_path, "training"):
        with (
            pytest.raises(OutputError, match="is in use by another training; expected one at a time"),
            exclusive_directory(tmp_path, "training"),
        ):
            pytest.fail("both have it")
        child = subprocess.run(
            [sys.executable, "-c", HOLDER, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert "is in use by another training" in child.stderr
    with exclusive_directory(tmp_path, "training"):
        pass
    assert (tmp_path / ".lock").read_text() == "kept"


def fifo(path):
    os.mkfifo(path)


def device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("making a device takes root")


SPECIAL = {
    "a named pipe": fifo,
    "a character device": device,
    "a directory": Path.mkdir,
    "a link that leads nowhere": lambda path: path.symlink_to(path),
    "write-protected": lambda path: (path.write_text("kept"), path.chmod(0o444)),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_ordinary_file_is_not_replaced(kind, tmp_path, small_result):
    path = tmp_path / "result.nc"
    SPECIAL[kind](path)
    before = os.lstat(path).st_ino
    with pytest.raises(OutputError, match=rf"result\.nc is {kind}; expected a (regular )?file"):
        fp.save(small_result, path)
    assert os.lstat(path).st_ino == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.nc"]
    if kind != "write-protected":
        (tmp_path / ".lock").symlink_to(path) if kind == "a directory" else SPECIAL[kind](tmp_path / ".lock")
        with pytest.raises(OutputError, match=r"\.lock cannot be locked"), exclusive_directory(tmp_path, "sweep"):
            pass


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
def test_a_file_that_is_replaced_keeps_its_permissions(mode, tmp_path):
    path = tmp_path / "data"
    path.write_text("before")
    path.chmod(mode)
    with atomic_path(path) as temporary:
        # Nobody else reads what is private while it is written.
        assert not stat.S_IMODE(temporary.stat().st_mode) & ~mode
        temporary.write_text("after")
    assert path.read_text() == "after"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(there, relative, tmp_path):
    target = tmp_path / "disk" / "data"
    target.parent.mkdir()
    if there:
        target.write_text("before")
    link = tmp_path / "link"
    link.symlink_to("disk/data" if relative else target)
    with atomic_path(link) as temporary:
        assert temporary.parent == target.parent
        temporary.write_text("after")
    assert link.is_symlink()
    assert target.read_text() == "after"


def test_saving_changes_no_umask_that_other_threads_see(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask is the whole process's"))
    with atomic_path(tmp_path / "data") as temporary:
        temporary.touch()


WRITER = """
import sys, time
from fastpatch.atomic import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print(temporary, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_was_writing_goes_at_the_next_start_and_not_before(tmp_path):
    foreign = [tmp_path / name for name in (".profile", ".data.x1", ".fastpatch-12.nc", ".fastpatch-0123456789abcdef~")]
    for path in foreign:
        path.write_text("precious")
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "data.nc")], stdout=subprocess.PIPE, text=True
    ) as writer:
        try:
            under_way = Path(writer.stdout.readline().strip())
            writable_directory(tmp_path)
            assert under_way.read_bytes() == b"half"
        finally:
            writer.send_signal(signal.SIGKILL)
    assert under_way.exists()
    writable_directory(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(foreign)


def test_a_file_that_is_taken_for_a_leftover_at_birth_is_made_anew(tmp_path):
    """Writers and a cleaner that never rests: every file arrives."""
    done = threading.Event()

    def clean():
        while not done.is_set():
            remove_leftovers(tmp_path)

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    try:
        for number in range(300):
            with atomic_path(tmp_path / str(number), durable=False) as temporary:
                temporary.write_text(str(number))
    finally:
        done.set()
        cleaner.join()
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == list(range(300))


def test_leftovers_that_are_links_lead_nowhere(tmp_path, theirs):
    (tmp_path / ".fastpatch-0123456789abcdef.nc").symlink_to(theirs / "notes.txt")
    remove_leftovers(tmp_path)
    assert unharmed(theirs)


def test_whoever_comes_and_goes_one_has_the_directory(tmp_path):
    """Threads that lock and unlock as fast as they can, while the lock file appears and goes."""
    inside, most, done = [0], [0], [0]
    counting = threading.Lock()

    def come_and_go():
        for _ in range(150):
            try:
                with exclusive_directory(tmp_path, "run"):
                    with counting:
                        inside[0] += 1
                        most[0] = max(most[0], inside[0])
                        done[0] += 1
                    with counting:
                        inside[0] -= 1
            except OutputError:
                pass

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert done[0] > 0
