"""Trying a program in a sandbox: what is expected of it, and the verdict, stay outside."""
