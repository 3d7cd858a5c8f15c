"""Networks that are not trained here.

MediaPipe's hand-landmark network is rebuilt in PyTorch with the weights of its .tflite file, and
`landmark_baseline` writes the untrained encoder that reads landmarks alone.
"""
