// Package datacollect serves existing clients of ID PASS DataCollect: signing
// in, pushing and pulling, as they know it, with the engine of fieldapi. Who and
// when a client says is its claim; the session and the log's time are the facts.
package datacollect

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"muniment.dev/api/call"
	"muniment.dev/custom/customapi"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/field/fieldapi"
	"muniment.dev/session"
	"muniment.dev/session/signin"
)

// Handler serves /api/.
type Handler struct {
	engine *fieldapi.Engine
	signIn *signin.Service
	mux    *http.ServeMux
}

// New makes the handler.
func New(e *fieldapi.Engine, s *signin.Service) *Handler {
	h := &Handler{e, s, http.NewServeMux()}
	h.mux.HandleFunc("POST /api/users/login", h.login)
	h.mux.HandleFunc("POST /api/sync/push", h.push)
	h.mux.HandleFunc("GET /api/sync/pull", h.pull)
	return h
}

const maxBody = 4 << 20

// ServeHTTP implements http.Handler. Nothing here goes by cookies, so pages of
// every origin may call it with their token.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodOptions {
		w.Header().Set("Access-Control-Allow-Headers", "authorization, content-type")
		w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	h.mux.ServeHTTP(w, r)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, err error) {
	if after := fault.RetryAfter(err); after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	}
	status := map[fault.Kind]int{fault.Invalid: 400, fault.Unauthenticated: 401, fault.Denied: 403, fault.NotFound: 404, fault.Exists: 409, fault.Conflict: 409, fault.Refused: 422, fault.Erased: 410,
		fault.Exhausted: 429, fault.Unavailable: 503, fault.Unknown: 503}[fault.KindOf(err)]
	if status == 0 {
		status = 500
	}
	answer(w, status, map[string]any{"status": "error", "message": fault.Public(err), "error": fault.Public(err)})
}

func (h *Handler) login(w http.ResponseWriter, r *http.Request) {
	var in struct{ Email, Password string }
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		fail(w, fault.New(fault.Invalid, "must be a JSON object with email and password"))
		return
	}
	s, err := h.signIn.SignIn(r.Context(), signin.Attempt{Email: in.Email, Password: in.Password})
	if err == nil && s.AskPassword {
		err = fault.New(fault.Unauthenticated, "choose a new password in the browser first")
	}
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]string{"token": s.Token, "userId": s.User.String()})
}

// caller is whose session a request's token is of.
func (h *Handler) caller(r *http.Request) (signin.Session, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return signin.Session{}, session.ErrNoSession
	}
	s, err := h.signIn.Session(r.Context(), token)
	if err == nil && s.AskPassword {
		err = session.ErrNoSession
	}
	return s, err
}

func (h *Handler) push(w http.ResponseWriter, r *http.Request) {
	s, err := h.caller(r)
	if err != nil {
		fail(w, err)
		return
	}
	events, err := parse(r.Body)
	if err != nil {
		fail(w, err)
		return
	}
	env := call.UserEnvelope(r.Context(), s.User, s.Begun.Session)
	for i := range events {
		in, err := h.event(r.Context(), &events[i])
		if err != nil {
			fail(w, at(i, err))
			return
		}
		results, err := h.engine.Push(r.Context(), env, "", []fieldapi.Event{in})
		if err == nil {
			err = results[0].Err
		}
		if err != nil {
			fail(w, at(i, err))
			return
		}
	}
	answer(w, http.StatusOK, map[string]string{"status": "success"})
}

// at says which event an error is about.
func at(i int, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind == fault.Internal {
		return err
	}
	e := *f
	e.Msg = "event " + strconv.Itoa(i+1) + ": " + strings.TrimSpace(f.Field+" "+f.Msg)
	return &e
}

// pageSize is how many events a pull answers.
const pageSize = 100

func (h *Handler) pull(w http.ResponseWriter, r *http.Request) {
	s, err := h.caller(r)
	if err != nil {
		fail(w, err)
		return
	}
	who, err := h.engine.Runner.Authority(r.Context(), event.Actor{Kind: "user", ID: s.User}, h.engine.Runner.Log.Mark().Size)
	if err != nil {
		fail(w, err)
		return
	}
	mark := h.engine.Runner.Log.Mark().Size
	events, next, err := h.engine.Pull(r.Context(), who, nil, h.since(r.Context(), r.URL.Query().Get("since")), pageSize)
	if err != nil {
		fail(w, err)
		return
	}
	out := map[string]any{"events": []any{}, "nextCursor": nil}
	list := make([]any, 0, len(events))
	for i := range events {
		if events[i].Data != nil {
			list = append(list, shown(&events[i]))
		}
	}
	if out["events"] = list; next < mark {
		out["nextCursor"] = h.engine.Cursor(next)
	}
	answer(w, http.StatusOK, out)
}

// since is where a pull goes on: at a cursor; or before all that was recorded at
// the time of the last event that the client saw, so that none of the same time
// is missed. Whatever is neither begins at the beginning: clients ignore ids that
// they know.
func (h *Handler) since(ctx context.Context, text string) event.Position {
	if p, err := h.engine.Position("since", text); err == nil {
		return p
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0
	}
	log := h.engine.Runner.Log
	last, err := log.AsOf(ctx, t)
	if err != nil {
		return 0
	}
	if r, err := log.Record(ctx, last); err != nil || !r.Time.Equal(t) { // a time of another clock than ours
		return 0
	}
	before, err := log.AsOf(ctx, t.Add(-time.Microsecond))
	if err != nil {
		return 0
	}
	return before
}

// shown is an event as clients know it.
func shown(p *fieldapi.Pulled) map[string]any {
	var data any = json.RawMessage(event.FormatJSON(p.Data))
	if kept, _ := p.Data[more].(map[string]any); kept[original] != nil {
		whole := kept[original]
		data = json.RawMessage(event.FormatJSON(whole))
	}
	typ := p.Type
	if typ == deletes+"individual" || typ == deletes+"group" {
		typ = deleteEntity
	}
	who := p.Actor.ID.String()
	if p.Claimed != "" {
		who = p.Claimed
	}
	return map[string]any{"guid": customapi.UUID(p.ID), "entityGuid": customapi.UUID(p.Stream.ID), "type": typ, "data": data,
		"timestamp": p.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), "userId": who, "syncLevel": remote}
}
