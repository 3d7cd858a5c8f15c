"""A kinematic hand and its picture: poses, joints and a renderer that hand detectors accept."""
