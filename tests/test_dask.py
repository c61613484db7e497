"""Dask arrays: the bits of `Blocks` of the same rows, on any scheduler and number of workers."""

import contextlib
import json
import os
import signal

import numpy as np
import pytest
from scipy.optimize import minimize

import kernels
from kernels import Blocks
from tests.helpers.advice import advised
from tests.helpers.cases import DTYPES, PROBLEMS, case_of, large_batch
from tests.helpers.comparison import bits
from tests.helpers.interpreter import run_python
from tests.helpers.marks import linux

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")
kernels_dask = pytest.importorskip("kernels.dask")

LOCAL = ["synchronous", "threads"]
CHUNKS = ((0, 17, 0, 23, 1, 0, 19),)  # of 60 samples


def over_dask(problem):
    return getattr(kernels_dask, problem)


def arrays_of(X, *others, rows=CHUNKS):
    """Dask arrays with blocks of these rows."""
    return da.from_array(X, chunks=(*rows, -1)), *(da.from_array(a, chunks=rows) for a in others)


def blocks_of(*arrays, rows=CHUNKS):
    """The same blocks in memory."""
    ends = np.cumsum(rows[0])
    pairs = zip(ends - rows[0], ends, strict=True)
    return Blocks([tuple(a[start:end] for a in arrays) for start, end in pairs])


def some_weights():
    s = np.random.default_rng(3).uniform(0.5, 2, 60)
    s[17:40] = 0  # those of one block
    return s


@contextlib.contextmanager
def cluster_of(workers, threads, **options):
    """A client of a cluster on this machine."""
    with (
        dask.config.set({"distributed.admin.tick.limit": "60s"}),
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            dashboard_address=None,
            silence_logs=50,
            **options,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client():
    with cluster_of(2, 1) as client:
        yield client


@pytest.fixture(params=[*LOCAL, "cluster"])
def scheduler(request, monkeypatch):
    """Each scheduler, in force, with a task for each block."""
    monkeypatch.setattr(kernels_dask, "LIGHT", 0)
    if request.param == "cluster":
        with request.getfixturevalue("client").as_current():
            yield request.param
    else:
        with dask.config.set(scheduler=request.param):
            yield request.param


# ---- results ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_bits_of_blocks(problem, dtype, scheduler):
    """With weights and without, with empty blocks, and blocks of weight 0."""
    module, (X, y, *parameters) = PROBLEMS[problem], case_of(problem, dtype=dtype)
    for weights in ((), (some_weights(),)):
        expected = module.loss_and_gradient(blocks_of(X, y, *weights), None, *parameters, reg=0.3)
        chunked = arrays_of(X, y, *weights)
        named = {"sample_weight": chunked[2]} if weights else {}
        call = *chunked[:2], *parameters
        answer = over_dask(problem).loss_and_gradient(*call, **named, reg=0.3)
        assert type(answer[1]) is module.Gradient
        assert bits(answer) == bits(expected)
        assert over_dask(problem).loss(*call, **named, reg=0.3) == expected[0]
        assert bits(over_dask(problem).gradient(*call, **named, reg=0.3)) == bits(expected[1])


@pytest.mark.parametrize("light", [0, 100, 2**22], ids=["one", "four", "all"])
@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 40, 300])
def test_the_tree_is_that_of_blocks(count, light, monkeypatch):
    """Whatever the number of blocks, and how many a task takes."""
    monkeypatch.setattr(kernels_dask, "LIGHT", light)
    rng = np.random.default_rng(count)
    X, y, w = rng.normal(size=(count, 3)), rng.normal(size=count), rng.normal(size=3)
    rows = ((1,) * count,)
    expected = kernels.linear.loss_and_gradient(blocks_of(X, y, rows=rows), None, w, 0.5)
    with dask.config.set(scheduler="synchronous"):
        answer = kernels_dask.linear.loss_and_gradient(*arrays_of(X, y, rows=rows), w, 0.5)
    assert bits(answer) == bits(expected)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_objective_and_descent(problem, scheduler):
    module, (X, y, *_) = PROBLEMS[problem], case_of(problem, 2)
    sizes = {"hidden": 3, "std": 0.5} if problem == "two_layer" else {}
    s, results = some_weights(), []
    X_, y_, s_ = arrays_of(X, y, s)
    for where, data in (
        (module, {"X": blocks_of(X, y, s), "y": None}),
        (over_dask(problem), {"X": X_, "y": y_, "sample_weight": s_}),
    ):
        f = where.objective(**data, reg=0.1, **sizes)
        found = minimize(f, f.start(), jac=True, method="L-BFGS-B", options={"maxiter": 5})
        fit = where.descend(**data, reg=0.1, learning_rate=0.1, max_iter=5, tol=0, **sizes)
        product = f.hessp(found.x, np.linspace(-1, 1, f.size))
        results.append(bits((found.x, found.fun, product, *fit[:3])))
    assert results[0] == results[1]


def test_blocks_in_the_memory_of_workers(client, monkeypatch):
    """A task takes those of a worker, wherever they are, and the tree is the same."""
    X, y, *parameters = case_of("linear")
    with client.as_current():
        workers, arrays = list(client.nthreads()), ([], [])
        for n in range(6):
            for whole, blocks in zip((X, y), arrays, strict=True):
                block = da.from_array(whole[10 * n : 10 * n + 10], chunks=-1)
                blocks.append(client.persist(block, workers=workers[n in (1, 2, 5)]))
        X_, y_ = (da.concatenate(blocks) for blocks in arrays)
        X_, y_ = client.persist([X_, y_])
        rows = ((10,) * 6,)
        expected = kernels.linear.loss_and_gradient(blocks_of(X, y, rows=rows), None, *parameters)
        for held in (2**30, 2**9, 0):
            monkeypatch.setattr(kernels_dask, "HELD", held)
            answer = kernels_dask.linear.loss_and_gradient(X_, y_, *parameters)
            assert bits(answer) == bits(expected)
        monkeypatch.undo()
        assert sorted(kernels_dask.groups(X_)) == [[0, 3, 4], [1, 2, 5]]


def test_unknown_numbers_of_rows(scheduler):
    X, y, w, b = case_of("logistic")
    X_, y_ = arrays_of(X, y)
    keep = X_[:, 0] > 0
    kept = X[:, 0] > 0
    answer = kernels_dask.logistic.loss_and_gradient(X_[keep], y_[keep], w, b)
    rows = ([int(part.sum()) for part in np.split(kept, np.cumsum(CHUNKS[0])[:-1])],)
    expected = kernels.logistic.loss_and_gradient(
        blocks_of(X[kept], y[kept], rows=rows), None, w, b
    )
    assert bits(answer) == bits(expected)


def test_dataframes():
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    X, y, w, b = case_of("linear")
    frame = dd.from_pandas(pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": y}), 4)
    with dask.config.set(scheduler="synchronous"):
        answer = kernels_dask.linear.loss(frame[["a", "b", "c"]], frame["y"], w, b)
    assert answer == pytest.approx(kernels.linear.loss(X, y, w, b), rel=1e-12)


def test_parameters_that_are_equal_from_step_to_step(client):
    """They are parts of the tasks: nothing that is scattered can be lost (distributed#4612)."""
    X, y, *parameters = case_of("softmax")
    with client.as_current():
        f = kernels_dask.softmax.objective(*(a.persist() for a in arrays_of(X, y)))
        flat = f.pack(*parameters)
        assert len({bits(f(flat)) for _ in range(30)}) == 1
        other = f(flat + 1)
        assert bits(other) != bits(f(flat))
        assert bits(other) == bits(f(flat + 1))


def test_the_graph_is_optimised_once(monkeypatch):
    X, y, *_ = case_of("linear")
    calls, optimize = [], kernels_dask.optimize
    monkeypatch.setattr(kernels_dask, "optimize", lambda *a: calls.append(a) or optimize(*a))
    with dask.config.set(scheduler="synchronous"):
        kernels_dask.linear.descend(*arrays_of(X, y), learning_rate=0.1, max_iter=5, tol=0)
    assert len(calls) == 1


@pytest.mark.parametrize("light", [0, 2**22], ids=["one", "all"])
def test_a_block_is_read_in_the_task_that_sums_it(light, monkeypatch):
    """What several blocks need, such as a mean over all, is a task of its own, and runs once."""
    monkeypatch.setattr(kernels_dask, "LIGHT", light)
    X, y, *parameters = case_of("linear")
    read = []
    load = dask.delayed(lambda n: read.append(n) or X[10 * n : 10 * n + 10], pure=True)
    X_ = da.concatenate([da.from_delayed(load(n), (10, 3), float) for n in range(6)])
    y_ = da.from_array(y, chunks=10)
    rows, graphs = ((10,) * 6,), []
    with dask.config.set(scheduler="synchronous"):
        f = kernels_dask.linear.objective(X_, y_)
        read.clear()
        get = dask.local.get_sync
        with dask.config.set(
            scheduler=lambda graph, *a, **o: graphs.append(graph) or get(graph, *a)
        ):
            answer = kernels_dask.linear.loss_and_gradient(X_, y_, *parameters)
        assert len(graphs[0]) == (1 if light else 6)
        assert sorted(read) == list(range(6))
        expected = kernels.linear.loss_and_gradient(blocks_of(X, y, rows=rows), None, *parameters)
        assert bits(answer) == bits(expected)
        assert f.size == 4
        read.clear()
        centred = kernels_dask.linear.loss(X_ - X_.mean(axis=0), y_, *parameters)
    assert sorted(read) == list(range(6))
    assert centred == pytest.approx(kernels.linear.loss(X - X.mean(axis=0), y, *parameters), 1e-12)


def test_a_task_starts_no_threads(woken):
    """Dask runs as many tasks as it has threads: more of ours would compete with them."""
    X, y, *parameters = large_batch("softmax")
    arrays = da.from_array(X, chunks=(20_000, -1)), da.from_array(y, chunks=20_000)
    with dask.config.set(scheduler="threads"):
        one = kernels_dask.softmax.gradient(*arrays, *parameters)
        assert sum(woken) == 0
        two = kernels_dask.softmax.gradient(*arrays, *parameters, threads=2)
    assert sum(woken) > 0
    assert bits(one) == bits(two)


def test_names_and_help():
    for problem in PROBLEMS:
        for name in ("loss_and_gradient", "loss", "gradient", "objective", "descend"):
            wrapped = getattr(over_dask(problem), name)
            assert wrapped.__doc__ == getattr(PROBLEMS[problem], name).__doc__


# ---- errors ----


def test_an_error_names_the_block_and_the_row(scheduler):
    X, y, *parameters = case_of("softmax")
    holes = X.copy()
    holes[22, 1] = np.nan  # row 5 of block 3
    X_, y_ = arrays_of(holes, y)
    for call in (
        lambda: kernels_dask.softmax.loss(X_, y_, *parameters),
        lambda: kernels_dask.softmax.objective(X_, y_),
        lambda: kernels_dask.softmax.descend(X_, y_, learning_rate=0.1),
    ):
        with pytest.raises(ValueError, match=r"^block 3: X holds nan at row 5, column 1"):
            call()
    X_, y_ = arrays_of(X, np.where(np.arange(60) == 22, 7, y))
    with pytest.raises(ValueError, match=r"^block 3: y\[5\] is 7 and there are 4 classes"):
        kernels_dask.softmax.loss(X_, y_, *parameters)


def test_nothing_to_average():
    X, y, w, b = case_of("logistic")
    nothing = arrays_of(X[:0], y[:0], rows=((0,),))
    zeros = arrays_of(X, y, np.zeros(60))
    with dask.config.set(scheduler="synchronous"):
        with pytest.raises(ValueError, match="the total weight of the sums is 0"):
            kernels_dask.logistic.loss(*nothing, w, b)
        with pytest.raises(ValueError, match="X has no sample of positive weight in any block"):
            kernels_dask.logistic.objective(*nothing)
        with pytest.raises(ValueError, match="X has no sample of positive weight in any block"):
            kernels_dask.logistic.objective(*zeros[:2], sample_weight=zeros[2])


def test_errors_of_arrays_and_their_advice():
    X, y, w, b = case_of("linear")
    X_, y_ = arrays_of(X, y)
    module, expected = kernels_dask.linear, kernels.linear.loss(X, y, w, b)

    def loss(X, y, **options):
        with dask.config.set(scheduler="synchronous"):
            return module.loss(X, y, w, b, **options)

    def advice(error, **known):
        (_, value), *more = advised(str(error.value), {"dask": dask, "np": np, **known})
        assert not more
        return value

    wide = X_.rechunk({1: 2})
    with pytest.raises(ValueError, match="X has 2 chunks along axis 1, and a block must") as error:
        loss(wide, y_)
    assert loss(advice(error, X=wide), y_) == pytest.approx(expected)
    with pytest.raises(TypeError, match=r"X is a numpy\.ndarray: pass") as error:
        loss(X, y_)
    assert advice(error, X=X).numblocks == (1, 1)
    with pytest.raises(TypeError, match=r"y is a numpy\.ndarray: pass") as error:
        loss(X_, y)
    assert loss(X_, advice(error, X=X_, y=y)) == pytest.approx(expected)
    for rows, message in (
        ((30, 30), "block 0 has 0 rows in X and 30 in y"),
        ((0, 17, 0, 23, 1, 0, 18, 1), "block 6 has 19 rows in X and 18 in y"),
    ):
        other = da.from_array(y, chunks=(rows,))
        with pytest.raises(ValueError, match=message) as error:
            loss(X_, other)
        assert loss(X_, advice(error, X=X_, y=other)) == pytest.approx(expected)
    with pytest.raises(ValueError, match="block 0 has 0 rows in X and 60 in sample_weight"):
        loss(X_, y_, sample_weight=da.ones(60, chunks=60))
    with dask.config.set(scheduler="synchronous"):
        unknown, other = X_[X_[:, 0] > -np.inf], y_.rechunk(20)[da.ones(60, chunks=20) > 0]
        with pytest.raises(ValueError, match="block 3 has nan rows in X and no in y") as error:
            loss(unknown, other)
        assert loss(unknown, advice(error, X=unknown, y=other)) == pytest.approx(expected)
    shorter = da.map_blocks(lambda a: a[:-1], y_, dtype=float, chunks=((np.nan,) * 7,))
    with pytest.raises(ValueError, match=r"^block 1: y has 16 values and X has 17 rows"):
        loss(X_, shorter)


# ---- clusters ----


def of_all_problems():
    """The bytes of losses, gradients, products and descents of every problem, with weights."""
    found = {}
    for problem in PROBLEMS:
        X, y, *parameters = large_batch(problem)
        s = np.random.default_rng(3).uniform(0, 2, len(X))
        s[5000:10_000] = 0
        rows = ((5000,) * 7 + (len(X) - 35_000,),)
        X_, y_, s_ = arrays_of(X, y, s, rows=rows)
        over, options = over_dask(problem), {"sample_weight": s_, "reg": 0.1}
        answer = over.loss_and_gradient(X_, y_, *parameters, **options)
        names = PROBLEMS[problem].Parameters._fields
        start = dict(zip(names, parameters, strict=True))
        fit = over.descend(X_, y_, **start, **options, learning_rate=0.1, max_iter=4, tol=0)
        f = over.objective(X_, y_, **options)
        product = f.hessp(f.start(), np.linspace(-1, 1, f.size))
        found[problem] = bits((*answer, *fit[:3], product))
        if problem == "softmax":  # soft labels
            P = np.random.default_rng(4).dirichlet(np.ones(5), len(X))
            P_ = da.from_array(P, chunks=(*rows, -1))
            found["soft"] = bits(over.loss_and_gradient(X_, P_, *parameters, **options))
    return found


@pytest.mark.slow
def test_the_same_bits_for_any_number_of_workers_and_threads():
    with dask.config.set(scheduler="synchronous"):
        expected = of_all_problems()
    for workers in (1, 2):
        for threads in (1, 2):
            with cluster_of(workers, threads):
                assert of_all_problems() == expected, (workers, threads)


@pytest.mark.slow
def test_a_worker_that_dies_during_a_descent():
    """Its blocks are computed again elsewhere: not a bit changes."""
    X, y, *_ = large_batch("logistic")
    rows = ((5000,) * 7 + (len(X) - 35_000,),)
    X_, y_ = arrays_of(X, y, rows=rows)
    options = {"learning_rate": 0.1, "max_iter": 12, "tol": 0}
    expected = kernels.logistic.descend(blocks_of(X, y, rows=rows), None, **options)
    killed = []
    with cluster_of(2, 1) as client:

        def kill(iteration, loss, parameters):
            if iteration in (3, 7):
                pids = client.run(os.getpid)
                killed.append(min(pids.values()))
                os.kill(killed[-1], signal.SIGKILL)

        X_, y_ = X_.persist(), y_.persist()
        fit = kernels_dask.logistic.descend(X_, y_, **options, callback=kill)
    assert len(killed) == 2
    assert bits(fit[:3]) == bits(expected[:3])


MEMORY = """
import json, os, tempfile
import numpy as np
import dask, dask.array as da
from dask.distributed import Client, LocalCluster
from kernels.dask import logistic

FOLDER, N, D, ROWS, LIMIT = %r, 900_000, 100, 10_000, 500e6  # 720 MB in blocks of 8

def largest():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024

def block(n):
    return np.load(os.path.join(FOLDER, f"{n}.npy"))

def main():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(ROWS, D))
    for n in range(N // ROWS):
        np.save(os.path.join(FOLDER, f"{n}.npy"), first)
    load = dask.delayed(block, pure=True)
    X = da.concatenate([da.from_delayed(load(n), (ROWS, D), float) for n in range(N // ROWS)])
    y = da.where(X[:, 0] > 0, 1, -1)
    with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=LIMIT,
                      dashboard_address=None) as cluster, Client(cluster) as client:
        loss, gradient = logistic.loss_and_gradient(X, y, np.zeros(D), 0.0)
        most = [largest(), *client.run(largest).values()]
    print(json.dumps([most, LIMIT, N * D * 8, loss]))

if __name__ == "__main__":
    main()
"""


@linux
@pytest.mark.slow
def test_data_larger_than_the_memory_of_the_workers(tmp_path):
    """Resident memory of every process stays below a limit, which the data exceed."""
    script = tmp_path / "script.py"
    script.write_text(MEMORY % str(tmp_path))
    done = run_python(script)
    assert done.returncode == 0, done.stderr
    most, limit, size, loss = json.loads(done.stdout)
    assert max(most) < limit < size
    assert loss == pytest.approx(np.log(2), rel=1e-12)
