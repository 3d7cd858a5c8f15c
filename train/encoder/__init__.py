"""This project's encoder: MediaPipe's feature maps read at the 21 joints, and a trained head.

`features` computes the frozen part once, `whitening` normalises it, `fit` trains the head,
`export` writes the encoder as an ONNX file.
"""
