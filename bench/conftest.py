"""What a reader of the JSON must know of the machine, beside what pytest-benchmark writes."""

from bench.measure import machine


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["kernels"] = machine.describe()
