"""Siamese networks for one-shot recognition: Koch et al. (2015), their descendants, and our own.

- Data: readers for Omniglot, Sign-Language-MNIST, faces and prepared hands give `Pictures`;
  `pairs`, `pair_lists`, `splits` and `episodes` say what is compared with what.
- Training: `networks`, `losses`, `recipes`, `batches`, `training`; `runs` trains one network in a
  folder that can be resumed.
- Evaluation: `episodes` (N-way one-shot) and `verification` (same or different).
- The live loop: `hand_run` trains on hands, `live` wraps a network as an encoder.
"""
