package storetest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/hub/certrequest"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// inTurn is two stores on one database. Calls go to one and to the other in turn.
type inTurn struct {
	stores [2]hub.Store
	calls  atomic.Uint64
}

func (s *inTurn) next() hub.Store { return s.stores[s.calls.Add(1)%2] }

// handles returns two stores on the database of s, which may be the same.
func handles(s hub.Store) [2]hub.Store {
	if two, ok := s.(*inTurn); ok {
		return two.stores
	}
	return [2]hub.Store{s, s}
}

func (s *inTurn) Hubs(ctx context.Context) ([]hub.Config, error)  { return s.next().Hubs(ctx) }
func (s *inTurn) SaveHub(ctx context.Context, c hub.Config) error { return s.next().SaveHub(ctx, c) }
func (s *inTurn) DeleteHub(ctx context.Context, name string) error {
	return s.next().DeleteHub(ctx, name)
}
func (s *inTurn) DeletedLogs(ctx context.Context) ([]hub.DeletedLog, error) {
	return s.next().DeletedLogs(ctx)
}
func (s *inTurn) ForgetDeletedLog(ctx context.Context, name string) error {
	return s.next().ForgetDeletedLog(ctx, name)
}
func (s *inTurn) Ping(ctx context.Context) error { return s.next().Ping(ctx) }
func (s *inTurn) EditQueues(ctx context.Context, edits []*c2d.Edit) error {
	return s.next().EditQueues(ctx, edits)
}

func (s *inTurn) Identity(ctx context.Context, hubName string, id hubward.Identity) (*hub.Registration, error) {
	return s.next().Identity(ctx, hubName, id)
}

func (s *inTurn) Devices(ctx context.Context, hubName, after string, limit int) ([]hub.Registration, error) {
	return s.next().Devices(ctx, hubName, after, limit)
}

func (s *inTurn) Modules(ctx context.Context, hubName, device string) ([]hub.Registration, error) {
	return s.next().Modules(ctx, hubName, device)
}

func (s *inTurn) AllModules(ctx context.Context, hubName string, after hubward.Identity, limit int) ([]hub.Registration, error) {
	return s.next().AllModules(ctx, hubName, after, limit)
}

func (s *inTurn) Children(ctx context.Context, hubName, scope, after string, limit int) ([]hub.Registration, error) {
	return s.next().Children(ctx, hubName, scope, after, limit)
}

func (s *inTurn) EditIdentities(ctx context.Context, hubName string, edits []*hub.IdentityEdit) error {
	return s.next().EditIdentities(ctx, hubName, edits)
}

func (s *inTurn) DeviceStatistics(ctx context.Context, hubName string) (hubward.RegistryStatistics, error) {
	return s.next().DeviceStatistics(ctx, hubName)
}

func (s *inTurn) Twin(ctx context.Context, hubName string, id hubward.Identity) (*hub.Registration, error) {
	return s.next().Twin(ctx, hubName, id)
}

func (s *inTurn) Twins(ctx context.Context, hubName, after string, limit int) ([]hub.Registration, error) {
	return s.next().Twins(ctx, hubName, after, limit)
}

func (s *inTurn) DesiredProperties(ctx context.Context, hubName string, id hubward.Identity) (twindoc.Section, []hub.DesiredChange, error) {
	return s.next().DesiredProperties(ctx, hubName, id)
}

func (s *inTurn) EditTwins(ctx context.Context, hubName string, edits []*hub.TwinEdit) error {
	return s.next().EditTwins(ctx, hubName, edits)
}

func (s *inTurn) EditReported(ctx context.Context, hubName string, edits []*hub.ReportedEdit, done func(err error)) {
	s.next().EditReported(ctx, hubName, edits, done)
}

func (s *inTurn) EditConnections(ctx context.Context, hubName string, edits []*hub.ConnectionEdit) error {
	return s.next().EditConnections(ctx, hubName, edits)
}

func (s *inTurn) Connected(ctx context.Context, hubName string, after hubward.Identity, limit int) ([]hub.Connection, error) {
	return s.next().Connected(ctx, hubName, after, limit)
}

func (s *inTurn) Outbox(ctx context.Context, hubName string, limit int) ([]hub.HubEventBatch, error) {
	return s.next().Outbox(ctx, hubName, limit)
}

func (s *inTurn) DeleteOutbox(ctx context.Context, hubName string, ids []int64) error {
	return s.next().DeleteOutbox(ctx, hubName, ids)
}

func (s *inTurn) Session(ctx context.Context, hubName string, id hubward.Identity) ([]byte, bool, error) {
	return s.next().Session(ctx, hubName, id)
}

func (s *inTurn) SaveSession(ctx context.Context, hubName string, id hubward.Identity, fence uint64, state []byte) error {
	return s.next().SaveSession(ctx, hubName, id, fence, state)
}

func (s *inTurn) CertificateRequest(ctx context.Context, hubName string, id hubward.Identity) (*certrequest.Slot, error) {
	return s.next().CertificateRequest(ctx, hubName, id)
}

func (s *inTurn) EditCertificateRequest(ctx context.Context, hubName string, id hubward.Identity, edit func(*certrequest.Slot) error) error {
	return s.next().EditCertificateRequest(ctx, hubName, id, edit)
}

func (s *inTurn) QueuedContents(ctx context.Context, key c2d.Key, first, last int64, visit func(int64, []byte)) error {
	return s.next().QueuedContents(ctx, key, first, last, visit)
}

func (s *inTurn) DueQueues(ctx context.Context, limit int) ([]c2d.Due, error) {
	return s.next().DueQueues(ctx, limit)
}

func (s *inTurn) BatchFeedback(ctx context.Context, hubName string, n hub.Notification, least, most int) (taken, left int, err error) {
	return s.next().BatchFeedback(ctx, hubName, n, least, most)
}

func (s *inTurn) LockNotification(ctx context.Context, hubName string, kind hub.NotificationKind, token string, now, until time.Time) (*hub.Notification, time.Time, error) {
	return s.next().LockNotification(ctx, hubName, kind, token, now, until)
}

func (s *inTurn) EditNotification(ctx context.Context, hubName string, kind hub.NotificationKind, token string, edit func(*hub.Notification) (*hub.Notification, error)) error {
	return s.next().EditNotification(ctx, hubName, kind, token, edit)
}

func (s *inTurn) DropNotifications(ctx context.Context, now time.Time) error {
	return s.next().DropNotifications(ctx, now)
}
func (s *inTurn) TicketKeys(ctx context.Context) ([]hub.TicketKey, error) {
	return s.next().TicketKeys(ctx)
}
func (s *inTurn) AddTicketKey(ctx context.Context, newest int64, key hub.TicketKey, oldest time.Time) error {
	return s.next().AddTicketKey(ctx, newest, key, oldest)
}
