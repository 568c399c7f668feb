"""Between the messages of the contracts and domain values: conversion and validation."""
