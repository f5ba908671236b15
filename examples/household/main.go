// Command household is an example: two tablets register households where there
// is no network, change the same ones without knowing of each other, and come to
// the same in the end. README.md says how to run it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"muniment.dev/examples/client"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "household:", err)
		os.Exit(1)
	}
}

// team are two people in the field and one at a desk.
type team struct {
	one, two *tablet
	office   *client.Client
	out      io.Writer
}

func run(ctx context.Context, out io.Writer) error {
	clients := map[string]*client.Client{}
	for _, name := range []string{"TABLET1", "TABLET2", "OFFICE"} {
		c, err := client.Of(ctx, name)
		if err != nil {
			return err
		}
		clients[name] = c
	}
	t := &team{one: newTablet("Tablet 1", clients["TABLET1"], 0), two: newTablet("Tablet 2", clients["TABLET2"], 72*time.Hour), office: clients["OFFICE"], out: out}
	amina := client.NewID()
	for _, step := range []func(context.Context, string) error{t.register, t.visit, t.deliver, t.compare} {
		if err := step(ctx, amina); err != nil {
			return err
		}
	}
	return nil
}

// register lets each tablet register a household, offline, and then synchronize.
func (t *team) register(ctx context.Context, amina string) error {
	t.one.record("household-registered", amina, map[string]any{"name": "Household of Amina", "village": "Ifo"})
	t.two.record("household-registered", client.NewID(), map[string]any{"name": "Household of Hassan", "village": "Hagadera"})
	for _, d := range []*tablet{t.one, t.two, t.one} {
		if err := d.sync(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.out, "Two tablets register a household each, offline. They synchronize: tablet 1 has %d, tablet 2 has %d.\n", len(t.one.households()), len(t.two.households()))
	return nil
}

// visit lets both visit the same household, offline.
func (t *team) visit(ctx context.Context, amina string) error {
	t.one.record("household-visited", amina, map[string]any{"phone": "0700 123456", "village": "Garissa"})
	t.two.record("household-visited", amina, map[string]any{"village": "Dadaab"})
	t.two.record("member-joined", amina, map[string]any{"member": "Juma"})
	fmt.Fprintln(t.out, "Both visit Amina, offline. Tablet 1 notes a telephone number, and that she moved to Garissa.")
	fmt.Fprintln(t.out, "Tablet 2, whose clock is three days ahead, notes that she moved to Dadaab, and that Juma joined her.")
	if err := t.two.sync(ctx); err != nil {
		return err
	}
	if _, err := t.one.push(ctx); err != nil { // the answer is lost
		return err
	}
	results, err := t.one.push(ctx)
	if err != nil {
		return err
	}
	if len(results) != 1 || !results[0].Repeated {
		return fmt.Errorf("tablet 1 sent its event again: %+v", results)
	}
	fmt.Fprintf(t.out, "Tablet 1 sends its visit twice, because the answer was lost. It is recorded once; what does not count of it: %s.\n", strings.Join(results[0].Superseded, ", "))
	t.one.answered(results)
	for _, d := range []*tablet{t.one, t.two} {
		if err := d.sync(ctx); err != nil {
			return err
		}
	}
	return nil
}

// deliver lets both deliver the same ration, which a person has to look at.
func (t *team) deliver(ctx context.Context, amina string) error {
	t.one.record("ration-delivered", amina, map[string]any{"month": "2026-11"})
	t.two.record("ration-delivered", amina, map[string]any{"month": "2026-11"})
	if err := t.one.sync(ctx); err != nil {
		return err
	}
	results, err := t.two.push(ctx)
	if err != nil {
		return err
	}
	if len(results) != 1 || results[0].Status != "PUSH_STATUS_ASKED" {
		return fmt.Errorf("the second delivery: %+v", results)
	}
	t.two.answered(results)
	fmt.Fprintln(t.out, "Both deliver the ration of 2026-11. The second one is kept, and a person is asked.")
	var kept struct {
		Events []struct {
			ID     string `json:"eventId"`
			Entity string `json:"entityId"`
		} `json:"events"`
	}
	if err := t.office.Get(ctx, "/v1/sync/kept?state=pending", &kept); err != nil {
		return err
	}
	for _, e := range kept.Events {
		if client.UUID(e.Entity) != amina {
			continue // of an earlier run
		}
		if err := t.office.Post(ctx, "/v1/sync/kept/"+e.ID+":settle", map[string]any{"apply": false, "reason": "delivered twice"}, nil); err != nil {
			return err
		}
		fmt.Fprintln(t.out, "The office leaves it: it stays in the log, and is not applied.")
		return nil
	}
	return errors.New("the office is not asked about the second delivery")
}

// compare wants both tablets to have what the server has, and to have lost
// nothing.
func (t *team) compare(ctx context.Context, amina string) error {
	for _, d := range []*tablet{t.one, t.two} {
		if err := d.sync(ctx); err != nil {
			return err
		}
		for _, id := range slices.Sorted(maps.Keys(d.households())) {
			e, err := d.client.Entity(ctx, "household", id, 0, nil)
			if err != nil {
				return err
			}
			if has := d.text(id); has != e.Data {
				return fmt.Errorf("%s has of %s %s, the server has %s", d.name, id, has, e.Data)
			}
		}
	}
	if len(t.one.log) != len(t.two.log) {
		return fmt.Errorf("tablet 1 has %d events, tablet 2 %d", len(t.one.log), len(t.two.log))
	}
	fmt.Fprintf(t.out, "Both tablets have %d events, and of every household what the server has. Amina's:\n  %s\n", len(t.one.log), t.one.text(amina))
	return nil
}
