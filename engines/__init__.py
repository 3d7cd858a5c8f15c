"""How a network runs: the contract of an encoder and the engines that execute it.

`onnx_runtime/` is ONNX Runtime on any of its providers, `tensorrt/` builds and runs plans for
NVIDIA GPUs, `triton/` is an inference server, `selftest/` checks and times all of them on the
machine at hand. The modules beside them are the contract itself (`spec`, `similarity`, `encoder`,
`onnx_file`) and what every room needs: errors, files, bundles of arrays, speaking to the person.
"""
