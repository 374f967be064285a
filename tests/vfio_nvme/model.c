/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <nvme/types.h>

#include "model.h"

#define BAR_LEN 8192u
#define MQES 255u
#define CAP_TO 4u

static struct model *to_model(struct device *dev)
{
	return (struct model *)(void *)dev;
}

void *model_at(struct model *m, uint64_t iova, size_t len)
{
	assert_true(m->master);
	for (unsigned int i = 0; i < MODEL_MAPS; i++) {
		const struct model_map *map = &m->maps[i];

		if (map->base && iova >= map->iova && iova - map->iova + len <= map->len)
			return map->base + (iova - map->iova);
	}
	fail_msg("DMA fault at 0x%llx", (unsigned long long)iova);
	return NULL;
}

unsigned int model_nmaps(const struct model *m)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < MODEL_MAPS; i++)
		n += m->maps[i].base != NULL;
	return n;
}

/* What the driver may notice. */
static void tick(struct model *m)
{
	if (m->vanish_after && !--m->vanish_after)
		model_vanish(m);
}

/* The same memory is mapped once and counted. */
static int model_map(struct device *dev, void *base, size_t len, uint64_t *iova)
{
	struct model *m = to_model(dev);
	struct model_map *free = NULL;

	tick(m);
	if (m->given_back)
		return 0;
	if (m->map_fails)
		return -ENOMEM;
	for (unsigned int i = 0; i < MODEL_MAPS; i++) {
		struct model_map *map = &m->maps[i];

		if (map->base == base && map->len == len) {
			map->refs++;
			*iova = map->iova;
			return 0;
		}
		if (!map->base)
			free = map;
	}
	assert_non_null(free);
	*iova = m->next_iova;
	m->next_iova += len;
	*free = (struct model_map){base, len, *iova, 1};
	return 0;
}

static void model_unmap(struct device *dev, uint64_t iova)
{
	struct model *m = to_model(dev);

	if (m->given_back)
		return;
	for (unsigned int i = 0; i < MODEL_MAPS; i++) {
		if (!m->maps[i].base || m->maps[i].iova != iova)
			continue;
		if (--m->maps[i].refs == 0)
			m->maps[i].base = NULL;
		return;
	}
	fail_msg("unmapped what is not mapped");
}

static int model_bus_master(struct device *dev, bool on)
{
	struct model *m = to_model(dev);

	tick(m);
	if (!on && m->bus_fails)
		return -EIO;
	m->master = on;
	return 0;
}

static uint64_t model_now(struct device *dev)
{
	tick(to_model(dev));
	return to_model(dev)->now;
}

static void model_pause(struct device *dev, uint64_t ns)
{
	tick(to_model(dev));
	to_model(dev)->now += ns;
	model_step(to_model(dev));
}

static void model_give_back(struct device *dev)
{
	struct model *m = to_model(dev);

	assert_false(m->given_back);
	assert_true(!m->master || m->bus_fails);
	m->master = false;
	model_vanish(m);
	memset(m->maps, 0, sizeof(m->maps));
	m->given_back = true;
}

static void model_close(struct device *dev)
{
	to_model(dev)->closed = true;
}

static const struct device_ops model_ops = {
	.map = model_map,
	.unmap = model_unmap,
	.bus_master = model_bus_master,
	.now = model_now,
	.pause = model_pause,
	.give_back = model_give_back,
	.close = model_close,
};

struct model *model_create(void)
{
	static char address[] = "0000:01:00.0";
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->bar = calloc(1, BAR_LEN);
	assert_non_null(m->bar);
	m->dev.ops = &model_ops;
	m->dev.address = address;
	m->dev.unplug_fd = eventfd(0, EFD_NONBLOCK);
	m->dev.error_fd = -1;
	m->dev.bar = m->bar;
	m->dev.bar_len = BAR_LEN;
	m->next_iova = UINT64_C(1) << 32;
	m->blocks[0] = m->blocks[1] = MODEL_BLOCKS;
	m->ready_delay = 1000000;
	m->granted = MODEL_QUEUES;
	model_come_back(m);
	return m;
}

void model_free(struct model *m)
{
	close(m->dev.unplug_fd);
	free(m->bar);
	free(m);
}

void model_vanish(struct model *m)
{
	memset(m->bar, 0xff, BAR_LEN);
	m->never_ready = true;
}

void model_come_back(struct model *m)
{
	memset(m->bar, 0, BAR_LEN);
	memset(m->queues, 0, sizeof(m->queues));
	reg_write64(m->bar, NVME_REG_CAP, MQES | (uint64_t)CAP_TO << 24 | UINT64_C(1) << 37);
	m->cc = 0;
	m->never_ready = m->given_back = false;
}

void model_fatal(struct model *m)
{
	reg_write32(m->bar, NVME_REG_CSTS, reg_read32(m->bar, NVME_REG_CSTS) | CSTS_CFS);
}

/* ---- registers ---- */

static void reset(struct model *m)
{
	memset(m->queues, 0, sizeof(m->queues));
	m->shadows = m->events = 0;
	m->nheld = m->nlate = 0;
	memset(m->bar + REG_DOORBELLS, 0, BAR_LEN - REG_DOORBELLS);
}

static void enable(struct model *m)
{
	uint32_t aqa = reg_read32(m->bar, NVME_REG_AQA);

	reset(m);
	m->enables++;
	m->queues[0] = (struct model_queue){
		.sq_live = true,
		.cq_live = true,
		.sq = reg_read64(m->bar, NVME_REG_ASQ),
		.cq = reg_read64(m->bar, NVME_REG_ACQ),
		.sq_entries = (aqa & 0xfff) + 1,
		.cq_entries = (aqa >> 16 & 0xfff) + 1,
		.phase = 1,
	};
}

static void registers(struct model *m)
{
	uint32_t cc = reg_read32(m->bar, NVME_REG_CC), csts = reg_read32(m->bar, NVME_REG_CSTS);

	if ((cc ^ m->cc) & CC_EN)
		m->ready_at = m->now + m->ready_delay;
	if (cc & ~m->cc & CC_EN)
		enable(m);
	if (cc & CC_SHN_NORMAL && !(m->cc & CC_SHN_MASK)) {
		m->shutdowns++;
		csts |= CSTS_SHST_DONE;
	}
	m->cc = cc;
	if (!m->never_ready && m->now >= m->ready_at && (csts & CSTS_RDY) != (cc & CC_EN))
		csts = cc & CC_EN ? CSTS_RDY : 0;
	reg_write32(m->bar, NVME_REG_CSTS, csts);
}

/* ---- commands ---- */

static uint32_t *dbbuf_at(struct model *m, uint64_t page, uint32_t doorbell)
{
	return model_at(m, page + 4u * doorbell, 4);
}

/* Registers, or with shadow doorbells what is behind them. */
static uint32_t doorbell(struct model *m, uint32_t i)
{
	return m->shadows ? le32toh(*dbbuf_at(m, m->shadows, i)) : reg_read32(m->bar, REG_DOORBELLS + 4u * i);
}

/* Asleep until the register is written; what is in it then marks that it was seen. */
static bool looks_away(struct model *m, uint16_t qid)
{
	uint32_t at = REG_DOORBELLS + 8u * qid;

	if (!m->shadows || !qid || m->stay_awake)
		return false;
	if (reg_read32(m->bar, at) == MODEL_SEEN)
		return true;
	m->woken += m->queues[qid].sq_head != doorbell(m, 2u * qid);
	reg_write32(m->bar, at, MODEL_SEEN);
	return false;
}

void model_post(struct model *m, uint16_t qid, uint16_t cid, uint16_t status, uint32_t dw0)
{
	struct model_queue *q = &m->queues[qid];
	struct nvmft_cqe *cqe = model_at(m, q->cq + q->cq_tail * sizeof(*cqe), sizeof(*cqe));
	const uint64_t one = 1;
	uint32_t head = doorbell(m, 2u * qid + 1);

	/* Full: the driver gave more commands than it has room for completions. */
	assert_int_not_equal((q->cq_tail + 1) % q->cq_entries, head);
	*cqe = (struct nvmft_cqe){
		.dw0 = htole32(qid ? m->last_result[0] : dw0),
		.dw1 = htole32(qid ? m->last_result[1] : 0),
		.sqhd = htole16((uint16_t)q->sq_head),
		.sqid = htole16(qid),
		.cid = htole16(cid),
		.status = htole16((uint16_t)(q->phase ^ 1)),
	};
	/* Last, as a driver in another thread may be waiting for it. */
	__atomic_store_n(&cqe->status, htole16((uint16_t)(status << 1 | q->phase)), __ATOMIC_RELEASE);
	if (++q->cq_tail == q->cq_entries) {
		q->cq_tail = 0;
		q->phase ^= 1;
	}
	if (qid < m->dev.nvectors)
		(void)!write(m->dev.vectors[qid], &one, sizeof(one));
}

static uint64_t prp(const struct nvmft_sqe *sqe, int i)
{
	uint64_t value;

	memcpy(&value, sqe->dptr + 8 * i, sizeof(value));
	return le64toh(value);
}

/* Of a zoned namespace: its command set, and in that its zones. */
static void identify_zoned(const struct model *m, uint8_t cns, uint8_t *page)
{
	struct nvme_zns_id_ns *ns = (void *)page;

	if (cns == 3) {
		page[0] = 4;
		page[1] = 1;
		page[4] = CSI_ZONED;
	} else if (cns == 5) {
		ns->lbafe[0].zsze = htole64(m->zone_blocks);
		ns->lbafe[0].zdes = m->zone_extension;
	}
}

static void identify(struct model *m, const struct nvmft_sqe *sqe)
{
	uint8_t *page = model_at(m, prp(sqe, 0), 4096), cns = (uint8_t)le32toh(sqe->cdw10);
	uint8_t csi = (uint8_t)(le32toh(sqe->cdw11) >> 24);
	struct nvme_id_ctrl *ctrl = (void *)page;
	struct nvme_id_ns *ns = (void *)page;

	memset(page, 0, 4096);
	if (cns == 1) {
		memcpy(ctrl->sn, "MODEL               ", sizeof(ctrl->sn));
		ctrl->mdts = m->mdts;
		ctrl->oncs = htole16(0x0d);
		ctrl->vwc = 1;
		ctrl->oaes = htole32(1u << 8);
	} else if (cns == 0 && le32toh(sqe->nsid) - 1 < 2) {
		ns->nsze = htole64(m->blocks[le32toh(sqe->nsid) - 1]);
		ns->lbaf[0].ds = 9;
		ns->lbaf[0].ms = htole16(m->ms);
		ns->dps = m->dps;
	} else if (m->zone_blocks && (cns == 3 || csi == CSI_ZONED)) {
		identify_zoned(m, cns, page);
	}
}

static void log_page(struct model *m, const struct nvmft_sqe *sqe)
{
	uint8_t lid = (uint8_t)le32toh(sqe->cdw10);
	size_t len = ((le32toh(sqe->cdw10) >> 16) + 1) * (size_t)4;

	assert_true(len <= sizeof(m->log));
	m->logs_read++;
	m->last_lid = lid;
	memcpy(model_at(m, prp(sqe, 0), len), m->log, len);
}

void model_event(struct model *m, uint32_t dw0)
{
	assert_true(m->events_wanted > m->events_told);
	m->events_told++;
	model_post(m, 0, m->event_cid, 0, dw0);
}

static void dbbuf(struct model *m, const struct nvmft_sqe *sqe)
{
	m->shadows = prp(sqe, 0);
	m->events = prp(sqe, 1);
	assert_int_equal((m->shadows | m->events) & 4095, 0);
	for (uint32_t i = 0; i < 2; i++)
		*dbbuf_at(m, m->shadows, i) = htole32(reg_read32(m->bar, REG_DOORBELLS + 4u * i));
}

static uint16_t create_cq(struct model *m, struct model_queue *q, const struct nvmft_sqe *sqe)
{
	if (m->no_queues)
		return 0x101;
	assert_false(q->cq_live);
	m->creates++;
	*q = (struct model_queue){
		.cq_live = true,
		.cq = prp(sqe, 0),
		.cq_entries = (le32toh(sqe->cdw10) >> 16) + 1,
		.phase = 1,
	};
	return 0;
}

static void create_sq(struct model *m, struct model_queue *q, const struct nvmft_sqe *sqe)
{
	assert_true(q->cq_live && !q->sq_live);
	q->sq_live = true;
	if (m->shadows)
		reg_write32(m->bar, REG_DOORBELLS + 8u * (le32toh(sqe->cdw10) & 0xffff),
			    MODEL_SEEN); /* it begins asleep */
	q->sq = prp(sqe, 0);
	q->sq_entries = (le32toh(sqe->cdw10) >> 16) + 1;
}

static void delete_cq(struct model *m, struct model_queue *q, uint16_t qid)
{
	assert_true(q->cq_live && !q->sq_live);
	q->cq_live = false;
	reg_write32(m->bar, REG_DOORBELLS + 8u * qid, 0);
	reg_write32(m->bar, REG_DOORBELLS + 8u * qid + 4, 0);
}

/* 0; 101h, Invalid Queue Identifier. */
static uint16_t queue_command(struct model *m, const struct nvmft_sqe *sqe)
{
	uint16_t qid = (uint16_t)le32toh(sqe->cdw10);
	struct model_queue *q = &m->queues[qid <= MODEL_QUEUES ? qid : 0];

	switch (sqe->opcode) {
	case nvme_admin_create_cq:
		return create_cq(m, q, sqe);
	case nvme_admin_create_sq:
		create_sq(m, q, sqe);
		break;
	case nvme_admin_delete_sq:
		assert_true(q->sq_live);
		q->sq_live = false;
		break;
	case nvme_admin_delete_cq:
		delete_cq(m, q, qid);
		break;
	}
	return 0;
}

static void abort_command(struct model *m, const struct nvmft_sqe *sqe)
{
	uint16_t qid = (uint16_t)le32toh(sqe->cdw10), cid = (uint16_t)(le32toh(sqe->cdw10) >> 16);

	m->aborts++;
	if (!qid) {
		if (m->pass_held && le16toh(m->pass.cid) == cid && !m->keep_pass_on_abort)
			model_answer_pass(m, 0x07);
		return;
	}
	for (unsigned int i = 0; i < m->nheld && !m->keep_io_on_abort; i++) {
		if (m->held[i].qid == qid && le16toh(m->held[i].sqe.cid) == cid) {
			model_answer(m, i, 0x07);
			break;
		}
	}
}

/* True: it is done later. */
static bool delay_abort(struct model *m, const struct nvmft_sqe *sqe)
{
	if (!m->abort_delay)
		return false;
	assert_true(m->nlate < 4);
	m->late_aborts[m->nlate] = *sqe;
	m->late_at[m->nlate++] = m->now + m->abort_delay;
	return true;
}

static void late_aborts(struct model *m)
{
	while (m->nlate && m->now >= m->late_at[0]) {
		struct nvmft_sqe sqe = m->late_aborts[0];

		m->nlate--;
		memmove(&m->late_aborts[0], &m->late_aborts[1], m->nlate * sizeof(sqe));
		memmove(&m->late_at[0], &m->late_at[1], m->nlate * sizeof(m->late_at[0]));
		abort_command(m, &sqe);
		model_post(m, 0, le16toh(sqe.cid), 0, 0);
	}
}

static uint16_t get_log(struct model *m, const struct nvmft_sqe *sqe)
{
	log_page(m, sqe);
	if (m->identify && (uint8_t)le32toh(sqe->cdw10) == 5)
		return m->identify(m, sqe, model_at(m, prp(sqe, 0), 4096));
	return m->log_status;
}

static void admin(struct model *m, const struct nvmft_sqe *sqe)
{
	uint16_t status = 0, cid = le16toh(sqe->cid);
	uint32_t dw0 = 0;

	if (m->dead_admin)
		return;
	switch (sqe->opcode) {
	case nvme_admin_identify:
		identify(m, sqe);
		if (m->identify)
			status = m->identify(m, sqe, model_at(m, prp(sqe, 0), 4096));
		break;
	case nvme_admin_get_log_page:
		if (m->dead_log)
			return;
		status = get_log(m, sqe);
		break;
	case 0x7c:
		status = m->dbbuf_status;
		if (!status)
			dbbuf(m, sqe);
		break;
	case nvme_admin_set_features:
		if ((uint8_t)le32toh(sqe->cdw10) == 0x0b)
			m->event_config = le32toh(sqe->cdw11);
		dw0 = (m->granted - 1u) * 0x10001u;
		break;
	case nvme_admin_abort_cmd:
		if (delay_abort(m, sqe))
			return;
		abort_command(m, sqe);
		break;
	case nvme_admin_async_event:
		m->events_wanted++;
		m->event_cid = cid;
		return;
	case nvme_admin_format_nvm:
	case MODEL_PASS:
		m->pass = *sqe;
		m->pass_held = true;
		if (!m->hold_pass)
			model_answer_pass(m, 0);
		return;
	default:
		status = queue_command(m, sqe);
		break;
	}
	model_post(m, 0, cid, status, dw0);
}

/* Bytes of a command's data, page by page as the controller walks PRPs. */
static void transfer_prps(struct model *m, const struct nvmft_sqe *sqe, uint8_t *disk, size_t len, bool to_host)
{
	uint64_t at = prp(sqe, 0), *list = NULL;
	size_t first = 4096 - (at & 4095), n = len < first ? len : first;
	unsigned int i = 0;

	if (len > first + 4096)
		list = model_at(m, prp(sqe, 1), 4096);
	while (len) {
		uint8_t *host = model_at(m, at, n);

		memcpy(to_host ? host : disk, to_host ? disk : host, n);
		disk += n;
		len -= n;
		at = list ? le64toh(list[i++ % 512]) : prp(sqe, 1);
		n = len < 4096 ? len : 4096;
	}
}

static void transfer_sgl(struct model *m, const struct nvmft_sqe *sqe, uint8_t *disk, size_t len, bool to_host)
{
	const struct sgl_desc *desc = (const void *)sqe->dptr;
	uint32_t n = 1;

	if (desc->type == SGL_LAST_SEGMENT) {
		n = le32toh(desc->len) / 16;
		desc = model_at(m, le64toh(desc->address), le32toh(desc->len));
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t part = le32toh(desc[i].len);
		uint8_t *host = model_at(m, le64toh(desc[i].address), part);

		assert_int_equal(desc[i].type, SGL_DATA_BLOCK);
		assert_true(part <= len);
		memcpy(to_host ? host : disk, to_host ? disk : host, part);
		disk += part;
		len -= part;
	}
	assert_int_equal(len, 0);
}

static void transfer(struct model *m, const struct nvmft_sqe *sqe, uint8_t *disk, size_t len, bool to_host)
{
	if (sqe->flags & PSDT_SGL) {
		transfer_sgl(m, sqe, disk, len, to_host);
		return;
	}
	transfer_prps(m, sqe, disk, len, to_host);
}

/* Fills the host's buffer of cdw10 dwords with the numbers of the dwords. */
void model_answer_pass(struct model *m, uint16_t status)
{
	static uint32_t data[MODEL_PASS_DWORDS];
	uint32_t n = le32toh(m->pass.cdw10);

	assert_true(n <= MODEL_PASS_DWORDS);
	for (uint32_t i = 0; i < n; i++)
		data[i] = htole32(i);
	if (!status && n)
		transfer(m, &m->pass, (uint8_t *)data, n * (size_t)4, true);
	m->pass_held = false;
	model_post(m, 0, le16toh(m->pass.cid), status, 0x1234);
}

static void run(struct model *m, const struct nvmft_sqe *sqe)
{
	uint64_t lba = le32toh(sqe->cdw10) | (uint64_t)le32toh(sqe->cdw11) << 32;
	size_t len = ((le32toh(sqe->cdw12) & 0xffff) + 1) * (size_t)512;
	uint8_t *disk = m->disk[le32toh(sqe->nsid) - 1];

	assert_true(le32toh(sqe->nsid) - 1 < 2);

	if (sqe->opcode == nvme_cmd_read || sqe->opcode == nvme_cmd_write) {
		assert_true(lba * 512 + len <= sizeof(m->disk[0]));
		transfer(m, sqe, disk + lba * 512, len, sqe->opcode == nvme_cmd_read);
	} else if (sqe->opcode == nvme_cmd_write_zeroes) {
		assert_true(lba * 512 + len <= sizeof(m->disk[0]));
		memset(disk + lba * 512, 0, len);
	}
}

void model_answer(struct model *m, unsigned int i, uint16_t status)
{
	struct model_cmd cmd = m->held[i];

	assert_true(i < m->nheld);
	memmove(&m->held[i], &m->held[i + 1], (m->nheld - i - 1) * sizeof(m->held[0]));
	m->nheld--;
	if (!status)
		run(m, &cmd.sqe);
	model_post(m, cmd.qid, le16toh(cmd.sqe.cid), status, 0);
}

static void serve(struct model *m, uint16_t qid)
{
	struct model_queue *q = &m->queues[qid];
	uint32_t tail;

	if (looks_away(m, qid) || (!qid && m->now < m->busy_until))
		return;
	tail = doorbell(m, 2u * qid);
	if (m->shadows && !m->stay_awake)
		*dbbuf_at(m, m->events, 2u * qid) = htole32(tail);
	assert_true(tail < q->sq_entries);
	while (q->sq_live && q->sq_head != tail) {
		struct nvmft_sqe sqe = *(struct nvmft_sqe *)model_at(m, q->sq + q->sq_head * sizeof(sqe), sizeof(sqe));

		q->sq_head = (q->sq_head + 1) % q->sq_entries;
		if (qid == 0) {
			admin(m, &sqe);
			continue;
		}
		m->io_commands++;
		assert_true(m->nheld < MODEL_HELD);
		m->held[m->nheld++] = (struct model_cmd){sqe, qid};
		if (!m->hold)
			model_answer(m, m->nheld - 1, m->io_status);
	}
}

void model_step(struct model *m)
{
	if (reg_read32(m->bar, NVME_REG_CSTS) == CSTS_GONE)
		return;
	registers(m);
	if (m->quiet && !m->master)
		return;
	if (!(reg_read32(m->bar, NVME_REG_CSTS) & CSTS_RDY) || reg_read32(m->bar, NVME_REG_CSTS) & CSTS_CFS)
		return;
	late_aborts(m);
	for (uint16_t qid = 0; qid <= MODEL_QUEUES; qid++)
		if (m->queues[qid].sq_live)
			serve(m, qid);
}
