package console

import (
	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// adapterQuestion is what is asked before an action on an adapter.
func adapterQuestion(action string, a *munimentv1.Adapter) (q question, ok bool) {
	q = question{Back: path("console", "adapters", a.GetId()), Nav: adaptersNav, Reason: true}
	switch action {
	case "run":
		q.Heading, q.Button = "Run "+a.GetName()+" now?", "Run now"
		q.Points = []string{"It does not wait for its schedule, nor for the end of a pause after a failure."}
	case "pause":
		q.Heading, q.Button = "Pause "+a.GetName()+"?", "Pause"
		q.Points = []string{"Nothing goes over until it is resumed.", "What happens meanwhile goes over then."}
	case "resume":
		q.Heading, q.Button = "Resume "+a.GetName()+"?", "Resume"
		q.Points = []string{"It goes on where it ended; nothing was lost.", "Events are read and published with your rights from then on."}
	case "remove":
		q.Heading, q.Button, q.Danger = "Remove "+a.GetName()+"?", "Remove", true
		q.Points = []string{"Nothing goes over any more, and how far it was is forgotten.", "What is in the log stays."}
		q.Type, q.Typed = a.GetName(), "the adapter's name"
	case "redrive-all":
		q.Heading, q.Button = "Try all refused events anew?", "Redrive all"
		q.Points = []string{"What waits behind them follows.", "Of the external system everything is asked for again. What is recorded already is not recorded again."}
	case "discard-all":
		q.Heading, q.Button, q.Danger = "Give up all refused events?", "Discard all", true
		q.Points = []string{"They do not go over. What waits behind them does, without them."}
	default:
		return q, false
	}
	return q, true
}

func (v *visit) askAdapter() error {
	a, err := v.getAdapter()
	if err != nil {
		return err
	}
	q, ok := adapterQuestion(v.r.PathValue("a"), a)
	if !ok {
		return v.nothing()
	}
	return v.ask(q)
}

func (v *visit) actAdapter() error {
	a, err := v.getAdapter()
	if err != nil {
		return err
	}
	action := v.r.PathValue("a")
	q, ok := adapterQuestion(action, a)
	if !ok {
		return v.nothing()
	}
	if ok, err := v.confirmed(q); !ok {
		return err
	}
	return v.doAdapter(a.GetId(), q.Back, action)
}

// doAdapter does what was asked about.
func (v *visit) doAdapter(id, at, action string) error {
	api, command, reason := v.c.API.Adapter, v.command(), v.form("reason")
	switch action {
	case "run":
		_, err := api.RunAdapter(v.ctx, &munimentv1.RunAdapterRequest{AdapterId: id, CommandId: command, Reason: reason})
		return v.said(at, "It runs.", err)
	case "pause":
		_, err := api.PauseAdapter(v.ctx, &munimentv1.PauseAdapterRequest{AdapterId: id, CommandId: command, Reason: reason})
		return v.said(at, "Paused.", err)
	case "resume":
		_, err := api.ResumeAdapter(v.ctx, &munimentv1.ResumeAdapterRequest{AdapterId: id, CommandId: command, Reason: reason})
		return v.said(at, "It goes on.", err)
	case "redrive-all":
		_, err := api.RedriveAdapterFailures(v.ctx, &munimentv1.RedriveAdapterFailuresRequest{AdapterId: id, EveryOne: true, CommandId: command, Reason: reason})
		return v.said(at, "They are tried anew.", err)
	case "discard-all":
		_, err := api.DiscardAdapterFailures(v.ctx, &munimentv1.DiscardAdapterFailuresRequest{AdapterId: id, EveryOne: true, CommandId: command, Reason: reason})
		return v.said(at, "They are given up.", err)
	}
	if _, err := api.RemoveAdapter(v.ctx, &munimentv1.RemoveAdapterRequest{AdapterId: id, CommandId: command, Reason: reason}); err != nil {
		return v.refused(at, err)
	}
	return v.done("/console/adapters", "Removed.")
}
