package page

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"muniment.dev/fault"
)

// Status returns the HTTP status of a page that shows a fault.
func Status(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Denied:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Exists, fault.Conflict, fault.Refused:
		return http.StatusConflict
	case fault.Exhausted:
		return http.StatusTooManyRequests
	case fault.Unavailable, fault.Unknown:
		return http.StatusServiceUnavailable
	case fault.Erased:
		return http.StatusGone
	default:
		return http.StatusInternalServerError
	}
}

// heading says in a few words what sort of thing went wrong, and hint what the
// person can do about it.
func heading(k fault.Kind) (title, hint string) {
	switch k {
	case fault.Invalid:
		return "That cannot be right", "Go back and correct it."
	case fault.Unauthenticated:
		return "Please sign in", "Your session is over, or this link is no longer good."
	case fault.Denied:
		return "Not allowed", "If you need this, ask an administrator."
	case fault.NotFound:
		return "Nothing here", "It does not exist, or you may not see it."
	case fault.Exists:
		return "Already taken", "Choose another one."
	case fault.Conflict:
		return "Somebody was faster", "It changed while you were looking. Go back, reload and try again."
	case fault.Refused:
		return "Not in this state", "Nothing was changed."
	case fault.Exhausted:
		return "Too much at once", "Wait a little and try again."
	case fault.Unavailable:
		return "Not now", "Nothing was changed. Try again in a moment."
	case fault.Unknown:
		return "We do not know yet", "It may or may not have happened. Go back and look before you repeat it."
	case fault.Erased:
		return "Erased", "The key to this was destroyed. Nobody can read it any more, us included."
	default:
		return "Our fault", "Try again, and tell an administrator if it stays."
	}
}

// retrier is a fault that knows when to try again.
type retrier interface{ RetryAfter() time.Duration }

// RetryAfter returns how long the client should wait after err: what a cause in
// its chain says with a method RetryAfter() time.Duration, else zero.
func RetryAfter(err error) time.Duration {
	var r retrier
	if errors.As(err, &r) {
		return max(r.RetryAfter(), 0)
	}
	return 0
}

// SetRetryAfter sets the header Retry-After in whole seconds, rounded up
// (RFC 9110 §10.2.3); zero sets none.
func SetRetryAfter(h http.Header, d time.Duration) {
	if d > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
	}
}

// Trouble is the data of the page for faults.
type Trouble struct {
	Heading, Message, Hint string
	Status                 int
	Kind                   string
	Back                   string // own path; may be empty
}

// Fail shows a fault in the middle of an empty page. The text of foreign errors
// is logged and not shown.
func (s *Site) Fail(w http.ResponseWriter, r *http.Request, err error) {
	s.faults.Fail(w, r, View{}, err)
}

// Fail shows a fault in the layout of these pages; v gives menu and place.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, v View, err error) {
	k := fault.KindOf(err)
	if k == fault.Internal || k == fault.Corrupt || k == fault.Unknown {
		// Not the query: it may hold what a person typed.
		p.site.log.ErrorContext(r.Context(), "show a page", "method", r.Method, "pattern", r.Pattern, "kind", k.String(), "err", err)
	}
	title, hint := heading(k)
	v.Title = title
	v.Data = Trouble{Heading: title, Message: fault.Public(err), Hint: hint, Status: Status(k), Kind: k.String()}
	SetRetryAfter(w.Header(), RetryAfter(err))
	p.Render(w, r, Status(k), "fault", v)
}
