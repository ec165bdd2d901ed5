"""Work at once on a CPU: all of it is done, with one thread each, and an error or Ctrl-C stops the rest."""

import threading
import time

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from fastpatch.neural.side_by_side import side_by_side  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 3])
def workers(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_everything_is_done_and_reported_one_at_a_time(workers):
    threads, inside, reported = {}, [], []

    def work(item):
        threads[threading.get_ident()] = torch.get_num_threads()
        for part in range(3):
            time.sleep(0.002)
            yield item, part

    def report(news):
        inside.append(news)
        time.sleep(0.001)
        assert inside.pop() == news
        reported.append(news)

    side_by_side(work, range(7), CPU, report)
    assert sorted(reported) == [(item, part) for item in range(7) for part in range(3)]
    assert len(threads) <= workers
    assert set(threads.values()) == {1}
    assert torch.get_num_threads() == workers


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_the_first_exception_stops_the_others_and_is_raised(workers, kind):
    begun = []

    def work(item):
        begun.append(item)
        for part in range(100):
            if item == 1 and part == 2:
                raise kind("enough")
            time.sleep(0.002)
            yield part

    with pytest.raises(kind, match="enough"):
        side_by_side(work, range(50), CPU, lambda news: None)
    assert len(begun) < 10
    assert torch.get_num_threads() == workers


def test_nothing_to_do(workers):
    side_by_side(iter, [], CPU, pytest.fail)
