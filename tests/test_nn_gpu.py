"""The layers of companion.nn on a GPU: the same numbers as on a CPU, and as without graphs."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from nn_cases import LAYERS, STACKED, assert_close, call, make, results, tensors
from torch.nn.utils.rnn import pack_padded_sequence

from companion.nn import LSTM, PeepholeLSTM, cuda_graphs

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
# float64: the products of two libraries add up in another order.
EXACT = 1e-10


@pytest.fixture(autouse=True)
def fresh():
    """No graph of another test; and the graphs of this one."""
    cuda_graphs._met.clear()
    yield cuda_graphs._met
    cuda_graphs._met.clear()


def pair(layer, **options):
    """One network on the CPU and on the GPU."""
    made = make(layer, compiled=False, **options)
    return made, copy.deepcopy(made).cuda()


def moved(values):
    return [value.detach().cuda().requires_grad_() for value in values]


def graphs(met):
    return [graph for _, graph in met.values() if graph]


@pytest.mark.parametrize("layer", LAYERS)
def test_every_time_equals_the_cpu(layer, fresh):
    cpu, gpu = pair(layer, **STACKED)
    for seed in range(3):
        x, state = tensors(cpu, (2, 5), seed)
        wanted = results(cpu, x, state)
        x, *state = moved((x, *state))
        assert_close([v.cpu() for v in results(gpu, x, state)], wanted, EXACT)
        # One forwards and one backwards for each of two layers; the directions share them.
        assert len(graphs(fresh)) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_graph_rounds_as_its_loop(dtype, fresh):
    gpu = make(PeepholeLSTM, dtype=dtype).cuda()
    x, state = tensors(gpu, (20, 5))
    x, *state = moved((x, *state))
    first, _, third = (results(gpu, x, state) for _ in range(3))
    assert len(graphs(fresh)) == 2
    assert_close(third, first, 0.02 if dtype.itemsize == 2 else 1e-5)


def test_two_runs_before_one_backward():
    cpu, gpu = pair(LSTM)
    inputs = [tensors(cpu, (6, 5), seed)[0] for seed in range(4)]
    outputs = []
    for made, xs in ((cpu, inputs), (gpu, moved(inputs))):
        ys = [made(x)[0] for x in xs]
        grads = torch.autograd.grad(sum(y.pow(2).sum() for y in ys), (*xs, *made.parameters()))
        outputs.append([v.cpu() for v in (*ys, *grads)])
    assert_close(outputs[1], outputs[0], EXACT)


def test_second_derivatives():
    cpu, gpu = pair(PeepholeLSTM)
    x, state = tensors(cpu, (5, 2))
    x, *state = moved((x, *state))
    for _ in range(3):
        results(gpu, x, state)
    y = call(gpu, x, state)[0]
    inputs = x, *state, *gpu.parameters()
    grads = torch.autograd.grad(y.sin().sum(), inputs, create_graph=True)
    second = torch.autograd.grad(sum(g.pow(2).sum() for g in grads), inputs)
    x, *state = (value.detach().cpu().requires_grad_() for value in (x, *state))
    inputs = x, *state, *cpu.parameters()
    grads = torch.autograd.grad(call(cpu, x, state)[0].sin().sum(), inputs, create_graph=True)
    wanted = torch.autograd.grad(sum(g.pow(2).sum() for g in grads), inputs)
    assert_close([v.cpu() for v in second], wanted, EXACT)


def test_graphs_from_inference_mode_serve_without_it(fresh):
    cpu, gpu = pair(LSTM)
    x = tensors(cpu, (6, 5))[0].detach()
    with torch.inference_mode():
        for _ in range(3):
            inside = gpu(x.cuda())[0]
    with torch.no_grad():
        outside = gpu(x.cuda())[0]
        assert_close([inside.cpu(), outside.cpu()], [cpu(x)[0]] * 2, EXACT)
    assert len(graphs(fresh)) == 1


def test_packed_sequences():
    cpu, gpu = pair(LSTM, **STACKED)
    x, _ = tensors(cpu, (5, 7))
    lengths = [4, 7, 1, 4, 6]
    wanted = cpu(pack_padded_sequence(x, lengths, True, enforce_sorted=False))
    for _ in range(3):
        y, last = gpu(pack_padded_sequence(x.cuda(), lengths, True, enforce_sorted=False))
        assert_close([v.cpu() for v in (y.data, *last)], [wanted[0].data, *wanted[1]], EXACT)


def test_inside_a_recording_of_the_callers():
    cpu, gpu = pair(LSTM)
    x = tensors(cpu, (6, 5))[0].detach()
    mine, recording = torch.zeros_like(x).cuda(), torch.cuda.CUDAGraph()
    with torch.no_grad():
        for _ in range(3):
            gpu(mine)
        with torch.cuda.graph(recording):
            y = gpu(mine)[0]
        mine.copy_(x)
        recording.replay()
        assert_close([y.cpu()], [cpu(x)[0]], EXACT)


def test_a_graph_does_not_outlive_the_precision_that_it_was_made_with():
    before = torch.get_float32_matmul_precision()
    torch.manual_seed(0)
    gpu, x = LSTM(256, 256).cuda(), torch.randn(9, 64, 256).cuda()
    outputs = {}
    try:
        with torch.no_grad():
            for precision in ("highest", "high", "highest"):
                torch.set_float32_matmul_precision(precision)
                outputs[precision] = [gpu(x)[0] for _ in range(3)][-1]
    finally:
        torch.set_float32_matmul_precision(before)
    # TF32 has 10 bits for the digits, float32 has 23.
    assert (outputs["high"] - outputs["highest"]).abs().max() > 1e-5


@pytest.mark.parametrize("layer", [LSTM, PeepholeLSTM])
def test_compiles_as_one_graph(layer):
    torch._dynamo.reset()
    cpu, gpu = pair(layer)
    fast = torch.compile(lambda x: gpu(x)[0].pow(2).sum(), fullgraph=True, backend="aot_eager")
    for seed in range(3):
        x = tensors(cpu, (6, 5), seed)[0]
        wanted = torch.autograd.grad(cpu(x)[0].pow(2).sum(), (x, *cpu.parameters()))
        (x,) = moved([x])
        got = torch.autograd.grad(fast(x), (x, *gpu.parameters()))
        assert_close([v.cpu() for v in got], wanted, EXACT)


def test_many_shapes_hold_no_more_than_the_limit(fresh, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "LIMIT", 20 * 4 * 5)
    cpu, gpu = pair(LSTM)
    with torch.no_grad():
        for _ in range(2):
            for T in range(1, 22):  # one is too long for a graph of its own
                gpu(torch.zeros(T, 5, 3, dtype=torch.float64).cuda())
        assert 0 < sum(count for count, _ in fresh.values()) <= 400
        assert not graphs(fresh)  # each was put out before it came again
        x = tensors(cpu, (9, 5))[0].detach()
        for _ in range(2):
            assert_close([gpu(x.cuda())[0].cpu()], [cpu(x)[0]], EXACT)
        assert len(graphs(fresh)) == 1


def test_where_memory_is_short_it_runs_without_a_graph(fresh, monkeypatch):
    def short(*_):
        tried.append(1)
        raise torch.cuda.OutOfMemoryError

    tried = []
    monkeypatch.setattr(cuda_graphs, "_Graph", short)
    cpu, gpu = pair(LSTM)
    x = tensors(cpu, (6, 5))[0].detach()
    with torch.no_grad():
        for _ in range(4):
            assert_close([gpu(x.cuda())[0].cpu()], [cpu(x)[0]], EXACT)
    assert tried == [1]


def test_threads_and_streams():
    cpu, gpu = pair(LSTM)
    inputs = [tensors(cpu, (20, 5), seed)[0].detach() for seed in range(8)]

    def run(k):
        with torch.no_grad(), torch.cuda.stream(torch.cuda.Stream() if k % 2 else None):
            values = [gpu(inputs[k].cuda())[0].cpu() for _ in range(10)]
        return torch.stack(values)

    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(run, range(8)))
    with torch.no_grad():
        wanted = [cpu(x)[0].expand(10, -1, -1, -1) for x in inputs]
    assert_close(outputs, wanted, EXACT)
