"""Stages, engines, recipes, files, audit, command line: the only room that knows them."""
