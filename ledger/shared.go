package ledger

import (
	"context"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// errDeposed says that another node wrote the register: it holds the log by
// now, or signed for the last time.
var errDeposed = fault.New(fault.Unavailable, "another node has written the register; its checkpoints are waited for")

// publishShared is publish for a log that several nodes share.
func (p *Publisher) publishShared(ctx context.Context) error {
	for range 4 {
		if !p.log.Leads() {
			return p.adopt(ctx)
		}
		if err := p.sign(ctx); err != errDeposed { //nolint:errorlint // exactly this one, made here
			return err
		}
	}
	return errDeposed
}

// adopt publishes the newest stored checkpoint of what can be read here.
func (p *Publisher) adopt(ctx context.Context) error {
	mark, latest := p.log.Mark().Size, p.Latest().Size
	for gap := event.Position(1); mark > latest; gap *= 16 {
		from := latest + 1
		if mark > gap {
			from = max(from, mark-gap)
		}
		var found []byte
		for c, err := range p.log.Store().Checkpoints(ctx, p.log.ID(), from) {
			if err != nil {
				return fault.Wrap("read the stored checkpoints", err)
			}
			if c.Size > mark {
				break
			}
			found = c.Note
		}
		if found != nil {
			c, err := p.signer.own(found)
			if err != nil {
				return err
			}
			p.change(func() { p.latest, p.when = c, p.log.Now() })
			return nil
		}
		if from == latest+1 {
			return nil
		}
	}
	return nil
}
