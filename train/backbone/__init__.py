"""Networks that are not trained here.

MediaPipe's hand-landmark network is rebuilt in PyTorch with the weights of its .tflite file,
`hand_networks` writes it and the palm detector as ONNX files, and
`landmark_baseline` writes the untrained encoder that reads landmarks alone.
"""
