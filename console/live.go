package console

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

// recheck is how often a live page asks whether its session is still good: the
// API leaves that to whoever calls it in process.
const recheck = 15 * time.Second

// live streams the lines of new events as server-sent events (HTML Living
// Standard §9.2): id is the place, log:position, data the line as the page shows it, on
// one line. A browser that lost the connection says where it was.
func (v *visit) live() error {
	filter, err := readEventQuery(v.r.URL.Query()).filter()
	if err != nil {
		return err
	}
	after := v.r.URL.Query().Get("after")
	if id := v.r.Header.Get("Last-Event-ID"); id != "" {
		if log, position, ok := strings.Cut(id, ":"); ok {
			filter.LogId, id = log, position
		}
		after = id
	}
	if filter.AfterPosition, err = strconv.ParseUint(after, 10, 64); err != nil {
		return fault.Field("after", "a position is a number")
	}
	ctx, cancel := context.WithCancel(v.ctx)
	defer cancel()
	stream, err := v.c.API.Event.WatchEvents(ctx, &munimentv1.WatchEventsRequest{Filter: filter})
	if err != nil {
		return v.c.AsFault(err)
	}
	defer stream.Close()
	out := http.NewResponseController(v.w)
	_ = out.SetWriteDeadline(time.Time{}) // a stream has no end; not all writers know deadlines
	v.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	v.w.Header().Set("X-Accel-Buffering", "no")
	fmt.Fprint(v.w, "retry: 3000\n\n")
	if err := out.Flush(); err != nil {
		return nil // nobody is listening
	}
	go v.watchSession(ctx, cancel)
	for stream.Receive() {
		if err := v.send(stream.Msg()); err != nil {
			return nil
		}
		if err := out.Flush(); err != nil {
			return nil
		}
	}
	return nil // the header is sent: the browser connects again, and then learns why
}

// send writes one message, or a comment as a sign of life.
func (v *visit) send(m *munimentv1.WatchEventsResponse) error {
	if m.GetEvent() == nil {
		_, err := fmt.Fprintf(v.w, ": %d\n\n", m.GetPosition())
		return err
	}
	var b bytes.Buffer
	if err := v.pages.Piece(&b, "events", "line", m.GetEvent()); err != nil {
		return err
	}
	prefix := ""
	if m.GetLogId() != "" {
		prefix = m.GetLogId() + ":"
	}
	_, err := fmt.Fprintf(v.w, "id: %s%d\ndata: %s\n\n", prefix, m.GetEvent().GetPosition(), strings.Join(strings.Fields(b.String()), " "))
	return err
}

// watchSession ends the stream when the session does.
func (v *visit) watchSession(ctx context.Context, end func()) {
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := v.c.Sessions.Caller(ctx, v.c.Site.Session(v.r)); fault.Is(err, fault.Unauthenticated) {
			end()
			return
		}
	}
}
