package console

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

// record adds an event to the log. What it says of proofs is made up.
func (b *backend) record(before time.Duration, stream, eventType, actor, sentence string, fields ...*munimentv1.FieldChange) {
	n := uint64(len(b.events) + 1)
	leaf := []byte{0xa3, 0x01, 0x01, 0x03, 0x18, byte(n), 0x07, 0x60 | byte(min(len(eventType), 23))}
	leaf = append(leaf, eventType[:min(len(eventType), 23)]...)
	name := text("Ada Lovelace")
	switch actor {
	case graceID:
		name = text("Grace Hopper")
	case "":
		name = nil
	}
	kind := "user"
	if actor == "" {
		kind, actor = "visitor", "77777777777777777777777777777777"
	}
	b.events = append(b.events, &munimentv1.GetEventResponse{
		Event: &munimentv1.Event{LogId: logID, Position: n, EventId: fmt.Sprintf("%032x", n+4096), Stream: stream, StreamVersion: 2, Type: eventType, Revision: 1,
			Time: timestamppb.New(now.Add(-before)), Actor: &munimentv1.Actor{Kind: kind, Id: actor, Name: name}, OrganizationId: acmeID, Sentence: sentence},
		Fields: fields,
		Context: []*munimentv1.Field{
			{Path: "/request", Value: value("5d2c41f0a7b84e6b9d1f3e5a7c9b0d21")},
			{Path: "/source", Value: value("console")},
			{Path: "/ip", Value: value("198.51.100.23"), Sealed: true},
			{Path: "/user_agent", Value: value(firefox), Sealed: true},
			{Path: "/reason", Value: value("asked for by telephone"), Sealed: true},
		},
		Tags: []string{stream, "org:" + acmeID},
		Raw: &munimentv1.RawRecord{Leaf: leaf, LeafJson: fmt.Sprintf(`{"1":1,"3":%d,"7":%q}`, n, eventType), LeafHash: bytes.Repeat([]byte{byte(n)}, 32),
			Blocks: []*munimentv1.SealedBlock{{SubjectId: adaID, KeyId: phoneID, Digest: bytes.Repeat([]byte{7}, 32), Ciphertext: make([]byte, 92)}}},
		Proof: &munimentv1.ProofCheck{Result: munimentv1.ProofResult_PROOF_RESULT_VALID, TreeSize: 14, RootHash: bytes.Repeat([]byte{0x5a}, 32),
			Inclusion:  [][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte{3}, 32), bytes.Repeat([]byte{4}, 32)},
			Checkpoint: note()},
	})
	close(b.added)
	b.added = make(chan struct{})
}

func note() string {
	root := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0x5a}, 32))
	return "localhost/" + logID + "\n14\n" + root + "\n\n— localhost/" + logID + " " + base64.StdEncoding.EncodeToString(make([]byte, 68)) + "\n"
}

func value(s string) *munimentv1.FieldValue {
	return &munimentv1.FieldValue{Value: structpb.NewStringValue(s)}
}

func changed(path, before, after string) *munimentv1.FieldChange {
	return &munimentv1.FieldChange{Path: path, Before: value(before), After: value(after), Sealed: true}
}

func set(path, after string) *munimentv1.FieldChange {
	return &munimentv1.FieldChange{Path: path, After: value(after)}
}

// history is a month of a small company.
func (b *backend) history() {
	day := 24 * time.Hour
	b.record(31*day, "instance:"+logID, "instance.created", adaID, "The instance was set up", set("/name", "Analytical Engines"))
	b.record(31*day, "organization:"+acmeID, "organization.added", adaID, "Ada Lovelace added the organization Analytical Engines", set("/name", "Analytical Engines"))
	b.record(30*day, "user:"+graceID, "user.registered", adaID, "Ada Lovelace registered Grace Hopper", set("/email", "grace@analytical.example"))
	b.record(25*day, "project:"+booksID, "project.added", adaID, "Ada Lovelace added the project Ledger Books")
	b.record(24*day, "application:"+appID, "application.registered", adaID, "Ada Lovelace registered the application Bookkeeping")
	b.record(9*day, "grant:"+graceID, "role.granted", adaID, "Ada Lovelace gave Grace Hopper the role editor in Ledger Books", set("/role", "editor"))
	b.record(2*day, "session:"+phoneID, "session.begun", graceID, "Grace Hopper signed in")
	b.record(2*day, "organization:"+babbID, "organization.deactivated", adaID, "Ada Lovelace deactivated the organization Babbage & Sons")
	b.record(26*time.Hour, "subject:"+goneID, "subject.erased", adaID, "Ada Lovelace erased (erased)")
	b.record(5*time.Hour, "user:"+alanID, "user.signin.failed", "", "Somebody failed to sign in as Alan Turing, 11 times within a minute", set("/count", "11"))
	b.record(3*time.Hour, "user:"+alanID, "user.locked", adaID, "Ada Lovelace locked Alan Turing")
	b.record(2*time.Hour, "user:"+graceID, "user.email.changed", adaID, "Ada Lovelace changed the e-mail address of Grace Hopper",
		changed("/email", "g.hopper@analytical.example", "grace@analytical.example"),
		&munimentv1.FieldChange{Path: "/former", Before: &munimentv1.FieldValue{Erased: true}, After: &munimentv1.FieldValue{Withheld: true}, Sealed: true})
	b.record(40*time.Minute, "session:"+hereID, "session.begun", adaID, "Ada Lovelace signed in")
	b.record(4*time.Minute, "grant:"+graceID, "role.withdrawn", adaID, "Ada Lovelace took the role auditor in Ledger Books from Grace Hopper")
	for range 3 {
		b.record(3*time.Minute, "audit:"+logID, "audit.read", adaID, "Ada Lovelace read 50 records of the log: everything")
	}
	b.events[13].Proof = &munimentv1.ProofCheck{Result: munimentv1.ProofResult_PROOF_RESULT_PENDING, TreeSize: 13}
	b.events[7].Proof = &munimentv1.ProofCheck{Result: munimentv1.ProofResult_PROOF_RESULT_INVALID, TreeSize: 14, Evidence: "the leaf at position 8 hashes to 4f60…, the tree has 9c1e…"}
}

func (b *backend) ListEvents(_ context.Context, r *munimentv1.ListEventsRequest) (*munimentv1.ListEventsResponse, error) {
	if err := b.read("ListEvents"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []*munimentv1.Event
	for _, e := range slices.Backward(b.events) {
		if fits(r.GetFilter(), e) {
			out = append(out, e.GetEvent())
		}
	}
	if !r.GetDescending() {
		slices.Reverse(out)
	}
	page, next := at(out, r.GetPageSize(), r.GetPageToken())
	return &munimentv1.ListEventsResponse{Events: page, NextPageToken: next}, nil
}

func fits(f *munimentv1.EventFilter, r *munimentv1.GetEventResponse) bool {
	e := r.GetEvent()
	typed := len(f.GetTypes()) == 0
	for _, t := range f.GetTypes() {
		prefix, any := strings.CutSuffix(t, "*")
		typed = typed || t == e.GetType() || any && strings.HasPrefix(e.GetType(), prefix)
	}
	return typed && (len(f.GetStreams()) == 0 || slices.Contains(f.GetStreams(), e.GetStream())) &&
		(len(f.GetActors()) == 0 || slices.Contains(f.GetActors(), e.GetActor().GetKind()+":"+e.GetActor().GetId())) &&
		(len(f.GetUserIds()) == 0 || strings.HasSuffix(e.GetStream(), f.GetUserIds()[0]) || e.GetActor().GetId() == f.GetUserIds()[0]) &&
		(f.GetBeforePosition() == 0 || e.GetPosition() < f.GetBeforePosition()) && e.GetPosition() > f.GetAfterPosition() &&
		(f.GetFrom() == nil || !e.GetTime().AsTime().Before(f.GetFrom().AsTime())) && (f.GetTo() == nil || e.GetTime().AsTime().Before(f.GetTo().AsTime()))
}

func (b *backend) WatchEvents(ctx context.Context, r *munimentv1.WatchEventsRequest, s *connect.ServerStream[munimentv1.WatchEventsResponse]) error {
	pos := r.GetFilter().GetAfterPosition()
	for {
		b.mu.Lock()
		events, added := b.events, b.added
		b.mu.Unlock()
		for _, e := range events[min(pos, uint64(len(events))):] {
			pos = e.GetEvent().GetPosition()
			if !fits(r.GetFilter(), e) {
				continue
			}
			if err := s.Send(&munimentv1.WatchEventsResponse{Event: e.GetEvent(), Position: pos}); err != nil {
				return err
			}
		}
		if err := s.Send(&munimentv1.WatchEventsResponse{Position: pos}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-added:
		}
	}
}

func (b *backend) GetEvent(_ context.Context, r *munimentv1.GetEventRequest) (*munimentv1.GetEventResponse, error) {
	return find(b.events, func(e *munimentv1.GetEventResponse) bool { return e.GetEvent().GetPosition() == r.GetPosition() })
}

func (b *backend) GetReceipt(_ context.Context, r *munimentv1.GetReceiptRequest) (*munimentv1.GetReceiptResponse, error) {
	if r.GetPosition() > 13 {
		return nil, fault.New(fault.Unavailable, "no checkpoint covers this event yet; try again in a moment")
	}
	return &munimentv1.GetReceiptResponse{Receipt: []byte("receipt"), FileName: "receipt-\"../" + fmt.Sprint(r.GetPosition()) + ".txt", TreeSize: 14}, nil
}

func (b *backend) ListEventTypes(context.Context, *munimentv1.ListEventTypesRequest) (*munimentv1.ListEventTypesResponse, error) {
	return &munimentv1.ListEventTypesResponse{Types: []*munimentv1.EventType{
		{Name: "user.email.changed", Revision: 1, Description: "A person has another e-mail address."},
		{Name: "user.locked", Revision: 1}, {Name: "user.locked", Revision: 2, Description: "A person can no longer sign in."}}}, nil
}

func (b *backend) ListMyEvents(ctx context.Context, r *munimentv1.ListMyEventsRequest) (*munimentv1.ListMyEventsResponse, error) {
	me, err := b.GetMe(ctx, nil)
	if err != nil {
		return nil, err
	}
	got, err := b.ListEvents(ctx, &munimentv1.ListEventsRequest{Filter: &munimentv1.EventFilter{UserIds: []string{me.GetUser().GetId()}}, Descending: true, PageSize: r.GetPageSize(), PageToken: r.GetPageToken()})
	return &munimentv1.ListMyEventsResponse{Events: got.GetEvents(), NextPageToken: got.GetNextPageToken()}, err
}

func (b *backend) GetInstance(_ context.Context, r *munimentv1.GetInstanceRequest) (*munimentv1.GetInstanceResponse, error) {
	if r.GetRead() != nil {
		b.asked = append(b.asked, r.GetRead())
		at := max(r.GetRead().GetAtPosition(), 7)
		return &munimentv1.GetInstanceResponse{Instance: &munimentv1.Instance{Id: logID, Position: at, PositionTime: ago(time.Hour)}}, nil
	}
	return &munimentv1.GetInstanceResponse{Instance: &munimentv1.Instance{Id: logID, Name: "Analytical Engines", ExternalUrl: "http://localhost:8080", LogId: logID, Position: 128914, Created: ago(31 * 24 * time.Hour), Version: "0.1.0"}}, nil
}

func (b *backend) GetCheckpoint(context.Context, *munimentv1.GetCheckpointRequest) (*munimentv1.GetCheckpointResponse, error) {
	if b.noPoint {
		return nil, fault.New(fault.Unavailable, "there is no checkpoint yet")
	}
	return &munimentv1.GetCheckpointResponse{Note: note(), Size: 128913, RootHash: bytes.Repeat([]byte{0x5a}, 32), VerifierKey: "localhost/" + logID + "+8a1f0c3e+" + base64.StdEncoding.EncodeToString(make([]byte, 33))}, nil
}

// GetStatistics counts a month in which little and much happened.
func (b *backend) GetStatistics(context.Context, *munimentv1.GetStatisticsRequest) (*munimentv1.GetStatisticsResponse, error) {
	if err := b.deny["GetStatistics"]; err != nil {
		return nil, err
	}
	r := &munimentv1.GetStatisticsResponse{TotalEvents: 128914, Counted: 128914, EventsPerSecond: 1.25, AverageEventsPerSecond: 0.048, RecordBytes: 93 << 20,
		AverageRecordBytes: 756, Streams: 31022, TreeDepth: 17, FailedSignIns: 412, Refusals: 9, First: ago(31 * 24 * time.Hour), Last: ago(0)}
	for i, t := range []string{"session.begun", "user.password.checked", "authorization.token.issued", "signin.failed", "user.registered", "access.refused"} {
		r.Types = append(r.Types, &munimentv1.TypeCount{Type: t, Events: uint64(60000 >> (2 * i))})
	}
	for i := range 40 {
		r.Hours = append(r.Hours, &munimentv1.PeriodCount{Start: timestamppb.New(now.Truncate(time.Hour).Add(time.Duration(i-39) * time.Hour)), Events: uint64(i * i % 97), Failures: uint64(i % 7)})
	}
	for i := range 30 {
		r.Days = append(r.Days, &munimentv1.PeriodCount{Start: timestamppb.New(now.Truncate(24*time.Hour).AddDate(0, 0, i-29)), Events: uint64(1000 + i*i*i%877), Failures: uint64(i % 5 * 20)})
	}
	return r, nil
}
