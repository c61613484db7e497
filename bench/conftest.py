"""Add this package's description of the machine to the JSON of pytest-benchmark."""

from bench.measure import machine


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["kernels"] = machine.describe()
