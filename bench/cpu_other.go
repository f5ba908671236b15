//go:build !unix

package bench

import "time"

// processTime cannot be told on this system.
func processTime() time.Duration { return 0 }
