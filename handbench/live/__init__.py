"""A model on moving pictures: camera, video file or image folder → skeleton, window, recording."""
