package pgdb

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Oldest is the oldest PostgreSQL that is used.
const Oldest = 15

// connectLimit bounds how long a server may take to let a client in.
const connectLimit = 10 * time.Second

// Reach completes how a server is reached: with settings that hold whatever is
// set for the role or the database, and a bound to how long it may take.
func Reach(c *pgconn.Config, settings map[string]string) {
	for name, value := range settings {
		c.RuntimeParams[name] = value
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "muniment"
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectLimit
	}
}

// TooOld reports whether a server, by its server_version, is older than Oldest.
func TooOld(version string) bool {
	var major int
	n, _ := fmt.Sscanf(version, "%d", &major)
	return n == 1 && major < Oldest
}
