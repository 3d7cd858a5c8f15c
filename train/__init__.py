"""Where encoders come from: data, networks, training, evaluation. The live loop needs none of it.

The sub-rooms, from left to right; each imports only from those before it:

- `reports`: plots and reports in Markdown and HTML.
- `runs`: what all training runs share: folder, checkpoint, Lightning fit, machine name.
- `pictures`: hands cut once from people's pictures, and their augmentation.
- `synthetic`: drawn gestures of any pose, as pictures.
- `backbone`: MediaPipe's hand-landmark network in PyTorch, and the untrained landmark encoder.
- `siamese`: the published Siamese networks, their data, losses and training.
- `encoder`: this project's encoder: features, training, export to ONNX.
- `evaluation`: encoders tested on people whom they were not trained on.
- `studies`: the Siamese experiments that `run.py study` repeats.
- `commands`: the commands of `run.py` that train, test and export.
"""
