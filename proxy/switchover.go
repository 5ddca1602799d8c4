package proxy

import (
	"strings"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
)

// failoverOrder is the setting that a superuser gives a backend's name, or "backend to server", to have another server
// become its primary. It is an order and no state: it takes as long as that takes, and cannot be shown.
const failoverOrder = "pleiad.failover"

// orderFailover carries the order out.
func (s *Session) orderFailover(order string) error {
	if !s.role.Super {
		return pgerr.New(pgerr.InsufficientPrivilege, "permission denied to set parameter %q", failoverOrder).
			WithHint("Connect as a superuser.")
	}
	if s.gang.Txn.State != executor.TxnNone {
		return pgerr.New(pgerr.ActiveSQLTransaction, "%s cannot be set inside a transaction block", failoverOrder)
	}
	words := strings.Fields(order)
	if len(words) == 3 && strings.EqualFold(words[1], "to") {
		words = []string{words[0], words[2]}
	}
	if len(words) < 1 || len(words) > 2 {
		return pgerr.New(pgerr.InvalidParameterValue, "invalid value for parameter %q: %q", failoverOrder, order).
			WithHint("Give a backend's name, or BACKEND to SERVER.")
	}
	n := s.srv.nodes[words[0]]
	if n == nil {
		return pgerr.New(pgerr.InvalidParameterValue, "there is no backend %q", words[0])
	}
	to := ""
	if len(words) == 2 {
		to = words[1]
	}
	if err := n.Switch(s.ctx, to); err != nil {
		return pgerr.New(pgerr.ObjectNotInPrerequisiteState, "backend %q has not failed over", n.Name).WithDetail("%v", err)
	}
	return nil
}
