"""What a reader of the saved JSON must know about the machine, beside what pytest-benchmark writes."""

from bench import machine


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["kernels"] = machine.describe()
