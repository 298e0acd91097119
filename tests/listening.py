"""Callbacks of a search that want its episodes only."""

from sartor.search import EpisodeScored


def to_episodes(callback):
    """What is told of a search, and calls back with every episode and the best so far."""

    def listen(event):
        if isinstance(event, EpisodeScored):
            callback(event.episode, event.best)

    return listen
