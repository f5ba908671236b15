package login

import (
	"fmt"
	"math"
	"time"
)

// nameOf is how to call the person of a session.
func nameOf(s Session) string {
	if s.Name != "" {
		return s.Name
	}
	return s.Email
}

// wait says how long to wait, rounded up; empty if it is not known.
func wait(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d <= 90*time.Second:
		return fmt.Sprintf("%d seconds", int(math.Ceil(d.Seconds())))
	}
	return fmt.Sprintf("%d minutes", int(math.Ceil(d.Minutes())))
}
