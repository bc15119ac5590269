package hub

import (
	"context"

	"github.com/hubward/hubward"
)

// callMethod is a request to the node that holds an identity's link.
type callMethod struct {
	Hub      string           `json:"hub"`
	Identity hubward.Identity `json:"identity"`
	Name     string           `json:"name"`
	Payload  []byte           `json:"payload"`
}

func (h *Hub) answerMethod(ctx context.Context, request []byte) (response []byte, err error) {
	return nil, errNotBuilt
}

// desiredChanged has whichever node holds an identity's link tell it of changes of its desired properties. Without a
// connection there is nobody to tell.
//
// Errors: the cluster's.
func (h *Hub) desiredChanged(ctx context.Context, hub string, id hubward.Identity) error {
	return errNotBuilt
}
