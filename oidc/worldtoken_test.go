package oidc_test

import (
	"context"
	"slices"
	"time"

	"muniment.dev/fault"
	"muniment.dev/oidc"
)

// issued notes tokens.
func (w *world) issued(g *grant, t oidc.AccessToken, opaque *[32]byte, next *oidc.NewRefresh) {
	w.tokens[t.ID] = &revocable{AccessToken: t}
	if opaque != nil {
		w.opaque[*opaque] = t.ID
	}
	if next != nil {
		g.refresh, g.last = append(g.refresh, *next), t.ID
	}
}

func (w *world) RefreshToken(_ context.Context, hash [32]byte) (oidc.RefreshGrant, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.grants {
		for i, r := range g.refresh {
			if r.Hash == hash {
				return oidc.RefreshGrant{CodeGrant: g.CodeGrant, Number: int64(i + 1), Last: int64(len(g.refresh)), Ended: g.ended, Expires: r.Expires}, nil
			}
		}
	}
	return oidc.RefreshGrant{}, fault.New(fault.NotFound, "no such refresh token")
}

func (w *world) Refresh(_ context.Context, rf oidc.Refreshing) error {
	time.Sleep(time.Millisecond) // let racers meet
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.grants[rf.Access.Grant]
	switch {
	case w.failRedeem != nil:
		return w.failRedeem
	case g.ended:
		return fault.Wrap("refresh", oidc.ErrGrantEnded)
	case int64(len(g.refresh)) != rf.Number && !slices.Contains(rf.Unclaimed, g.last):
		return fault.Wrap("refresh", oidc.ErrRefreshSpent)
	}
	w.writes++
	w.issued(g, rf.Access, rf.Opaque, &rf.Next)
	if w.lose != nil {
		return w.lose()
	}
	return nil
}

func (w *world) Opaque(_ context.Context, hash [32]byte) (oidc.AccessToken, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.tokens[w.opaque[hash]]; t != nil {
		return t.AccessToken, nil
	}
	return oidc.AccessToken{}, fault.New(fault.NotFound, "no such token")
}

func (w *world) Revoke(_ context.Context, t oidc.AccessToken) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokens[t.ID].revoked = true
	return w.failEnd
}
