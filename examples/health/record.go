package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"muniment.dev/examples/client"
)

// diagnosis is sealed under the patient.
type diagnosis struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// record is a health record as far as one may see it.
type record struct {
	Diagnoses []diagnosis `json:"diagnoses"`
	Reads     int         `json:"reads"`
}

// admit registers a patient and what is found.
func (h *hospital) admit(ctx context.Context) error {
	event := func(typ, entity string, data map[string]any) client.Event {
		return client.Event{ID: client.NewID(), Type: typ, Entity: entity, Organization: h.organization, Data: data}
	}
	found := func(code, text string) client.Event {
		return event("diagnosis-made", h.record, map[string]any{"patient": h.patient, "diagnosis": diagnosis{code, text}})
	}
	_, err := h.ward.Publish(ctx,
		event("patient-registered", h.patient, map[string]any{"name": "Ada Lovelace", "born": "1815-12-10"}),
		event("record-opened", h.record, map[string]any{"patient": h.patient}),
		found("B05.9", "Measles, without complications"),
		found("G43.9", "Migraine"))
	if err == nil {
		fmt.Fprintln(h.out, "The ward admits a patient and records 2 diagnoses.")
	}
	return err
}

// read is how this hospital reads a record, and it has no other way: that it is
// read, and why, is recorded first; then the record is read as it was right
// after that event. What was seen can be told for ever.
func (h *hospital) read(ctx context.Context, who *client.Client, why, note string) (client.Entity, record, error) {
	var r record
	data := map[string]any{"patient": h.patient, "why": why}
	if note != "" {
		data["note"] = note
	}
	done, err := who.Publish(ctx, client.Event{ID: client.NewID(), Type: "record-read", Entity: h.record, Data: data})
	if err != nil {
		return client.Entity{}, r, err
	}
	e, err := who.Entity(ctx, "health-record", h.record, done[0].Position, &r)
	return e, r, err
}

// everybodyReads lets those read who may, and one who may not.
func (h *hospital) everybodyReads(ctx context.Context) error {
	_, r, err := h.read(ctx, h.ward, "treatment", "seen on the morning round")
	if err != nil || len(r.Diagnoses) != 2 {
		return fmt.Errorf("the ward reads %+v: %v", r, err)
	}
	fmt.Fprintf(h.out, "The ward reads the record: %s %s; %s %s.\n", r.Diagnoses[0].Code, r.Diagnoses[0].Text, r.Diagnoses[1].Code, r.Diagnoses[1].Text)
	e, r, err := h.read(ctx, h.billing, "billing", "")
	if err != nil || len(r.Diagnoses) > 0 || !slices.Contains(e.Locked, "diagnoses") {
		return fmt.Errorf("billing reads %+v: %v", r, err)
	}
	fmt.Fprintln(h.out, "Billing reads it, and sees that there is a record, but not what is sealed:", strings.Join(e.Locked, ", "))
	_, _, err = h.read(ctx, h.research, "treatment", "")
	if !client.Is(err, "denied") {
		return fmt.Errorf("research records that it reads: %v", err)
	}
	_, err = h.research.Entity(ctx, "health-record", h.record, 0, nil)
	if !client.Is(err, "not_found") {
		return fmt.Errorf("research reads without recording it: %v", err)
	}
	fmt.Fprintln(h.out, "Research has no right to read it:", err)
	return nil
}

// trail are the events of the record, oldest first.
func (h *hospital) trail(ctx context.Context) ([]client.Recorded, error) {
	return h.ward.Events(ctx, map[string][]string{"types": {"record-*", "diagnosis-made"}, "streams": {"health-record:" + strings.ReplaceAll(h.record, "-", "")}})
}

// whoRead is what the patient may ask for: who read the record, and why.
func (h *hospital) whoRead(ctx context.Context) error {
	events, err := h.trail(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(h.out, "Who read the record:")
	reads := 0
	for _, e := range events {
		if e.Type == "record-read" {
			fmt.Fprintln(h.out, "  "+e.Sentence)
			reads++
		}
	}
	var r record
	if _, err := h.ward.Entity(ctx, "health-record", h.record, 0, &r); err != nil || r.Reads != reads {
		return fmt.Errorf("the record says that it was read %d times, its events %d: %v", r.Reads, reads, err)
	}
	return nil
}

// forget erases the patient: the key is destroyed under which name and diagnoses
// are sealed, wherever they stand.
func (h *hospital) forget(ctx context.Context) error {
	if err := h.office.Post(ctx, "/v1/entities/patient/"+h.patient+":erase", map[string]string{"reason": "asked to be forgotten"}, nil); err != nil {
		return err
	}
	if err := h.erased(ctx); err != nil {
		return err
	}
	p, err := h.ward.Entity(ctx, "patient", h.patient, 0, nil)
	if err != nil || !slices.Contains(p.Erased, "name") {
		return fmt.Errorf("the patient after the erasure: %+v, %v", p, err)
	}
	var r record
	e, err := h.ward.Entity(ctx, "health-record", h.record, 0, &r)
	if err != nil || len(r.Diagnoses) > 0 || !slices.Contains(e.Erased, "diagnoses") {
		return fmt.Errorf("the record after the erasure: %+v, %v", e, err)
	}
	events, err := h.trail(ctx)
	if err != nil {
		return err
	}
	gone := 0
	for _, ev := range events {
		if ev.Field("diagnosis").Erased {
			gone++
		}
	}
	fmt.Fprintf(h.out, "The patient is erased, and with them of the record: %s, and what %d events said of it. Who read it is still known.\n", strings.Join(e.Erased, ", "), gone)
	return nil
}

// erased waits until the key is destroyed and what it sealed stands in no file.
// Entities are read without it at once; the events follow a moment later.
func (h *hospital) erased(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		done, err := h.office.Events(ctx, map[string][]string{"types": {"entity.erasure.completed"}, "tags": {"entity:" + strings.ReplaceAll(h.patient, "-", "")}})
		if err != nil || len(done) > 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
