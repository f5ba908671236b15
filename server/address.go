package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"muniment.dev/api/call"
	"muniment.dev/event"
	"muniment.dev/trace"
)

// clientAddress finds the address of whoever sent a request. What a proxy says
// (X-Forwarded-For, its last entry) is believed only if the server was told to
// stand behind one and the request comes from loopback or a private network.
func clientAddress(behindProxy bool) func(remote string, h http.Header) netip.Addr {
	return func(remote string, h http.Header) netip.Addr {
		host, _, err := net.SplitHostPort(remote)
		if err != nil {
			host = remote
		}
		addr, _ := netip.ParseAddr(host)
		addr = addr.Unmap()
		if !behindProxy || !addr.IsLoopback() && !addr.IsPrivate() {
			return addr
		}
		all := strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",")
		if said, err := netip.ParseAddr(strings.TrimSpace(all[len(all)-1])); err == nil {
			return said.Unmap()
		}
		return addr
	}
}

// withFacts puts the facts of each request into its context, for protocols that
// do not do so themselves.
func withFacts(source string, address func(string, http.Header) netip.Addr, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent := r.UserAgent()
		f := call.Facts{RequestID: event.NewID(), Source: source, IP: address(r.RemoteAddr, r.Header),
			UserAgent: strings.ToValidUTF8(agent[:min(len(agent), 512)], "")}
		if p := trace.Parse(r.Header.Get("Traceparent")); !p.IsZero() {
			f.Correlation = p.Trace.String()
		}
		inner := r.WithContext(call.WithFacts(r.Context(), f))
		next.ServeHTTP(w, inner)
		r.Pattern = inner.Pattern // the one that served it, for who counts requests
	})
}
