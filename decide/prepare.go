package decide

import "context"

// RunPrepared is Run for a command that costs something to complete, such as a
// hash: prepare is called only if the command was not given before and, as
// things stand, the actor may give it. Allow must not look at what prepare
// completes.
func RunPrepared[S, C any](ctx context.Context, r *Runner, d Decider[S, C], env Envelope, c C, prepare func(C) (C, error)) (Result, error) {
	if !env.Command.IsZero() {
		if done, ok, err := r.earlier(ctx, &env); err != nil || ok {
			return done, err
		}
	}
	_, _, err := admit(ctx, r, d, env, c)
	if err != nil {
		return r.conclude(ctx, d.Name, env, Result{}, err)
	}
	if c, err = prepare(c); err != nil {
		return Result{}, err
	}
	return Run(ctx, r, d, env, c)
}

// Earlier returns what the same command did before; false if nothing is known
// of it. Another request under the same command id is refused.
func (r *Runner) Earlier(ctx context.Context, env Envelope) (Result, bool, error) {
	if env.Command.IsZero() {
		return Result{}, false, nil
	}
	return r.earlier(ctx, &env)
}
