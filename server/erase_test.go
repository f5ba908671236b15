package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"muniment.dev/api/call"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/internal/postgres"
	"muniment.dev/ops"
	"muniment.dev/session/signin"
	"muniment.dev/view"
)

// canaries are strings that stand nowhere but in one person's data.
var canaries = []string{"canary.kestrel@birds.example", "Kestrelina", "Falconidae", "why-the-kestrel-left", "Kestrel/7.7"}

// lived registers somebody who leaves traces of every kind: profile, e-mail
// addresses, password, sessions with an address, failed sign-ins, reasons.
func (w *world) lived() event.ID {
	w.t.Helper()
	pass := "four words of one"
	ctx := w.as(w.owner)
	res := must[*munimentv1.CreateUserResponse](w.t)(w.API.User.CreateUser(ctx, &munimentv1.CreateUserRequest{
		Email: "first." + canaries[0], GivenName: canaries[1], FamilyName: canaries[2], Password: &pass, OrganizationId: w.org}))
	id := event.MustID(res.GetUserId())
	must[*munimentv1.ChangeEmailResponse](w.t)(w.API.User.ChangeEmail(ctx, &munimentv1.ChangeEmailRequest{UserId: id.String(), Email: canaries[0]}))
	by := call.WithFacts(w.t.Context(), call.Facts{UserAgent: canaries[4]})
	live := must[signin.Session](w.t)(w.SignIn.SignIn(by, signin.Attempt{Email: canaries[0], Password: pass}))
	if err := w.Visit(by, live, w.client.GetClientId()); err != nil {
		w.t.Fatal(err)
	}
	self := call.WithCaller(call.WithFacts(w.t.Context(), call.Facts{Source: "test"}), call.Caller{Kind: "user", ID: id})
	name := canaries[1] + " the Second"
	must[*munimentv1.ChangeProfileResponse](w.t)(w.API.User.ChangeProfile(self, &munimentv1.ChangeProfileRequest{UserId: id.String(), DisplayName: &name, Reason: canaries[3]}))
	return id
}

// needles are all bytes that must be gone: the canaries, ciphertexts and blind
// tags (raw and as hexadecimal digits) of a subject.
func (w *world) needles(id event.ID) map[string][]byte {
	w.t.Helper()
	out := map[string][]byte{}
	for _, c := range canaries {
		out["canary "+c] = []byte(c)
	}
	subject := event.SubjectID{ID: id}
	for r, err := range w.Core.Log.Read(w.t.Context(), event.OfTerm(event.SubjectTerm(subject)), 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		for i, b := range r.Blocks {
			if b.Subject == subject {
				out["ciphertext of "+r.Type] = bytes.Clone(r.Ciphertexts[i])
			}
		}
		for _, b := range r.Blind {
			if b.Subject == subject {
				out["blind tag of "+r.Type] = bytes.Clone(b.Value[:])
				out["hex blind tag of "+r.Type] = []byte(hex.EncodeToString(b.Value[:]))
			}
		}
	}
	return out
}

// newErasable is a world, and the folders in which it keeps anything: on
// PostgreSQL in a cluster that is set up as the documents say.
func newErasable(t *testing.T) (w *world, folders []string) {
	t.Helper()
	w = newWorldOn(t, Extra{Passwords: quick}, func(c Config) Config {
		folders = append(folders, c.Data)
		if db, ok := postgres.ChosenOwn(t, map[string]string{"wal_recycle": "off", "wal_keep_size": "0"}); ok {
			folders = append(folders, db.Data())
			c.Database, c.Keys, c.Register = db.NewDatabase(t), db.NewDatabase(t), filepath.Join(c.Data, "register.json")
		}
		return c
	})
	return w, folders
}

func (w *world) grep(needles map[string][]byte, folders []string) (found []string) {
	w.t.Helper()
	for _, folder := range folders {
		found = append(found, w.grepIn(needles, folder)...)
	}
	return found
}

func (w *world) grepIn(needles map[string][]byte, folder string) (found []string) {
	w.t.Helper()
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // PostgreSQL takes files away
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for name, n := range needles {
			if bytes.Contains(b, n) {
				found = append(found, name+" in "+filepath.Base(path))
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// S08, I06: after an erasure nothing personal stands in any file, as bytes;
// root, chain and old receipts are what they were; the address is free; reads
// say erased, of the past too; verify calls what is missing lawful; a view that
// is built anew equals the live one.
func TestErase(t *testing.T) {
	w, folders := newErasable(t)
	ctx := w.as(w.owner)
	id := w.lived()
	needles := w.needles(id)
	if len(w.grep(needles, folders)) == 0 {
		t.Fatal("the ciphertexts are not found before the erasure, so that their absence would prove nothing")
	}
	before := w.Core.Log.Mark()
	user := must[*munimentv1.GetUserResponse](t)(w.API.User.GetUser(ctx, &munimentv1.GetUserRequest{UserId: id.String()})).GetUser()
	receipt := must[*munimentv1.GetReceiptResponse](t)(w.API.Event.GetReceipt(ctx, &munimentv1.GetReceiptRequest{Position: user.GetPosition()})).GetReceipt()

	erased := must[*munimentv1.EraseUserResponse](t)(w.API.User.EraseUser(ctx, &munimentv1.EraseUserRequest{UserId: id.String()}))
	wait, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.Core.Erasure.Wait(wait, event.SubjectID{ID: id}); err != nil {
		t.Fatal(err)
	}
	if found := w.grep(needles, folders); len(found) > 0 {
		t.Errorf("after the erasure: %q", found)
	}
	if got := must[*munimentv1.GetErasureResponse](t)(w.API.User.GetErasure(ctx, &munimentv1.GetErasureRequest{UserId: id.String()})); got.GetState() != munimentv1.ErasureState_ERASURE_STATE_COMPLETE {
		t.Errorf("erasure: %v", got)
	}
	for _, at := range []uint64{0, user.GetPosition()} {
		u := must[*munimentv1.GetUserResponse](t)(w.API.User.GetUser(ctx, &munimentv1.GetUserRequest{UserId: id.String(), Read: &munimentv1.Read{AtPosition: at}})).GetUser()
		if !u.GetEmail().GetErased() || !u.GetGivenName().GetErased() || u.GetEmail().GetValue() != "" {
			t.Errorf("at %d the person reads %v", at, u)
		}
	}
	e := must[*munimentv1.GetEventResponse](t)(w.API.Event.GetEvent(ctx, &munimentv1.GetEventRequest{Position: user.GetPosition()}))
	if e.GetProof().GetResult() != munimentv1.ProofResult_PROOF_RESULT_VALID {
		t.Errorf("the proof of an event of the person: %v", e.GetProof())
	}
	if r, err := ops.VerifyReceipt(receipt, w.Core.Instance.CheckpointKey); err != nil {
		t.Errorf("the old receipt: %v %v", r, err)
	}
	root, err := w.Core.Prover.Root(t.Context(), before.Size, w.Core.Publisher.Latest().Tree)
	if err != nil || root != before.Root {
		t.Errorf("the root of the first %d records was %s, is %s (%v)", before.Size, before.Root, root, err)
	}
	if _, err := w.register(ctx, canaries[0]); err != nil {
		t.Errorf("the address is not free: %v", err)
	}
	report, err := w.verify()
	if err != nil || len(report.Findings) > 0 || report.Erased == 0 || report.Pending != 0 {
		t.Errorf("verify: %v %v", report, err)
	}
	if _, err := w.Core.Views.Check(t.Context(), nil, func(d view.Difference) { t.Errorf("the view built anew differs: %v", d) }); err != nil {
		t.Errorf("the views: %v", err)
	}
	if erased.GetChange().GetPosition() != uint64(before.Size)+3 {
		t.Logf("the erasure stands at %d", erased.GetChange().GetPosition())
	}
}

// verify verifies the log, as an operator would beside the running server.
func (w *world) verify() (*ops.Report, error) {
	o := ops.VerifyOptions{Key: w.Core.Instance.CheckpointKey}
	if w.config.Database == "" {
		return ops.VerifyDir(w.t.Context(), ops.DefaultLayout(w.config.Data), o)
	}
	return ops.Verify(w.t.Context(), w.Core.Log.Store(), o)
}

// Lock, sign-out and withdrawal take effect at once where a server is asked.
func TestAtOnce(t *testing.T) {
	w := newWorld(t)
	ctx := w.as(w.owner)
	verifier := "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"
	pass := "another password"
	res := must[*munimentv1.CreateUserResponse](t)(w.API.User.CreateUser(ctx, &munimentv1.CreateUserRequest{Email: "ada@example.org", GivenName: "Ada", Password: &pass, OrganizationId: w.org}))
	w.email, w.password = "ada@example.org", pass
	c := w.browser()
	_, m := w.redeem(w.authorize(c, challengeOf(verifier)), verifier)
	token, _ := m["access_token"].(string)
	if got := w.userinfo(token); got != http.StatusOK {
		t.Fatalf("userinfo: %d", got)
	}
	must[*munimentv1.LockUserResponse](t)(w.API.User.LockUser(ctx, &munimentv1.LockUserRequest{UserId: res.GetUserId()}))
	if got := w.userinfo(token); got != http.StatusUnauthorized {
		t.Errorf("userinfo of a locked person: %d", got)
	}
	if page, err := c.Get(w.URL() + "/account"); err != nil || page.Request.URL.Path != "/login" {
		t.Errorf("a locked person still sees %v %v", page.Request.URL, err)
	}
}

// userinfo asks for userinfo and returns the status.
func (w *world) userinfo(token string) int {
	req, _ := http.NewRequest("GET", w.URL()+"/oauth/userinfo", nil)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}
