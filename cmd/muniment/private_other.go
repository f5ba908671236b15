//go:build !unix

package main

// private is left to the permissions of the directory.
func private() {}
