"""Clusters of namespaces with real stations and real switches, and the scenarios that run on them."""
