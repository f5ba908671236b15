package postgres

import (
	"os"
	"testing"
)

// Engine is the environment variable that has the tests of the product run on
// PostgreSQL: 15 or 18; without it they run on the embedded stores.
const Engine = "MUNIMENT_ENGINE"

// Chosen gives a test of the product an empty database for the log and another
// for the keys, if it is to run on PostgreSQL; false if it is not.
func Chosen(t testing.TB) (log, keys string, ok bool) {
	t.Helper()
	var c *Cluster
	switch v := os.Getenv(Engine); v {
	case "":
		return "", "", false
	case "15":
		c = SharedVersion(t, V15)
	case "18":
		c = SharedVersion(t, V18)
	default:
		t.Fatalf("%s is 15 or 18, not %q", Engine, v)
	}
	return c.NewDatabase(t), c.NewDatabase(t), true
}
