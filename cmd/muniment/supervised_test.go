//go:build linux && amd64

package main

import "muniment.dev/internal/sysfault"

func supervised() { sysfault.Main() }
