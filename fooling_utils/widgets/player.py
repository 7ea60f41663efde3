class FoolingPlayer:
    pass
