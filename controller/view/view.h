/* view.h - the state as documents: what the command line, HTTP and reports show.
 *
 * JSON, ASCII only, {"apiVersion":"casfleet/v1","kind":...,"at":...,"items":[...],...}. Every
 * number has its time or age, what is not known is null with a reason beside it, never 0. Reads
 * inventory, book and store; changes nothing. Members of each kind stand above its function; times
 * end in _ms and are wall clock UTC, ages in age_ms. Used by ask (and by http). */
#ifndef CONTROLLER_VIEW_VIEW_H
#define CONTROLLER_VIEW_VIEW_H

#include "controller/store/store.h"

struct view_waiting { /* a key that knocked and is not known */
    uint8_t key[CAS_KEY_BYTES];
    char address[64];
    int64_t first_ms, last_ms;
    uint64_t tries;
};
struct view_scene {
    struct cas_now now;
    int64_t started_ms; /* wall: when this controller started */
    const struct inventory *inventory;
    const struct rollout_book *book;
    struct store *store;
    const struct view_waiting *waiting; /* [waiting_n] */
    size_t waiting_n;
    const char *trouble; /* why the controller can store nothing now; NULL: it can */
    int64_t trouble_ms;  /* wall: since when */
};
/* All return a document the caller frees; CAS_ERR_NOMEM. *ret_attention: something needs the
 * operator. */

/* Status: servers, sites, oldest_age_ms, healthy, under_way[{servers,words}],
 * trouble (null, or why the controller can store nothing), trouble_ms, items[{class:
 * need|watch|maintenance, servers, words, detail}], recent{hours,recycles,proved,failed,by_others},
 * due (null, or {server,group,age_ms} of the oldest worker without the fix, while nothing runs),
 * rollouts[{id,state,words}] (open ones), frozen and schedule as view_schedule.h has them, waiting,
 * next[{words,command,detail}] */
CAS_CHECK enum cas_err
view_status(const struct view_scene *scene, char **ret_document, bool *ret_attention);

/* ServerList:
 * items[{name,site,role,dag,pool,product,build,update,fix,state,proof_age_ms,is_journal_writable,sample_age_ms,requests,
 * private_bytes,gc_time_pct,close_wait,ports_used,ports_total,ports_pct,worker_pid,worker_age_ms,heard_ms,rollout}]
 */
CAS_CHECK enum cas_err
view_server_list(const struct view_scene *scene, const size_t *at, size_t n, char **ret_document);
/* Server: items[{as ServerList, fingerprint, approved_ms, approved_by, agent_ver, skew_ms,
 * maintenance, health_reason, facts[{key,value,reason,age_ms}],
 * symptoms[{name,unit,words,value,reason,age_ms}], events[{id,n,last_ms}],
 * steps[{id,state,words,closed_ms}], audit[{at_ms,who,verb,words}]}] */
CAS_CHECK enum cas_err
view_server_show(const struct view_scene *scene, const size_t *at, size_t n, char **ret_document);

/* Plan: id, verb, pool, group, servers (folded), planned, chosen, start_ms, until_ms, by, at_once,
 * gap_ms, settle_ms, drain_ms, proof_ms, healthy_n, stop_after, floor_pct, canary,
 * waves[{wave,servers}], skip[{servers,words}], answering, other_plans,
 * ram{tightest,spare_bytes,known,unfit[]},
 * floor[{group,servers,planned,may_be_out,out_now,in_service_worst,least,holds}], likely_ms,
 * worst_ms, ends_ms, fits, valid_ms, refused (null or why), next[] */
CAS_CHECK enum cas_err view_plan(const struct view_scene *scene,
                                 const struct rollout_draft *draft,
                                 size_t chosen_n,
                                 bool has_canary,
                                 const char *refused,
                                 char **ret_document);

/* RolloutList: items[{id,state,words,group,by,run_ms,begun_ms,ended_ms,steps,proved,failed,to_go}]
 * newest first */
CAS_CHECK enum cas_err
view_rollout_list(const struct view_scene *scene, size_t most, char **ret_document);
/* Rollout:
 * id,state,reason,words,group,by,why,verb,pool,run_ms,begun_ms,halted_ms,ended_ms,wave,waves,proved,running,failed,unknown,to_go,
 * skipped,steps_n,at_once,gap_ms,stop_after,floor_pct,proof_ms,start_ms,until_ms,eta_ms,hold{reason,words,left_ms},plan_hash,
 * items[{server,wave,attempt,state,reason,words,holds_slot,good_n,healthy_n,command,reserved_ms,granted_ms,drained_ms,acted_ms,
 * result_ms,closed_ms,pid_before,pid_after,requests_before,requests_drained,requests,text,note,service}],
 * next[] */
CAS_CHECK enum cas_err view_rollout(const struct view_scene *scene,
                                    const struct rollout *rollout,
                                    char **ret_document,
                                    bool *ret_attention);

/* PatchReport: below{name,build}, items[{group,servers,has,lacks,unknown,lacking
 * (folded),unknown_servers[{server,words}]}], total{servers,has,lacks,unknown},
 * by_build[{name,build,servers,n,fix}], stale[{server,age_ms}], rule */
CAS_CHECK enum cas_err view_patch(const struct view_scene *scene,
                                  const size_t *at,
                                  size_t n,
                                  const struct compliance_build *below,
                                  const char *below_name,
                                  char **ret_document);

/* Why: subject, what (server|rollout; view_why.h has the others), words,
 * items[{age_ms,at_ms,words}], next[]; a rollout's has
 * rollout: the Rollout document, and verdict: whether the rollout itself is likely the cause, null
 * when nothing failed. */
CAS_CHECK enum cas_err view_why_server(const struct view_scene *scene,
                                       const struct inventory_server *server,
                                       char **ret_document);
CAS_CHECK enum cas_err view_why_rollout(const struct view_scene *scene,
                                        const struct rollout *rollout,
                                        char **ret_document);

/* AgentList: items[{name,state:
 * approved|revoked|waiting,fingerprint,key,address,agent_ver,connected,heard_ms,approved_ms,approved_by,tries}]
 */
CAS_CHECK enum cas_err
view_agent_list(const struct view_scene *scene, bool is_pending_only, char **ret_document);

/* Done: words, lines[], next[]; what a change answers. lines and next end with NULL. */
CAS_CHECK enum cas_err view_done(const struct view_scene *scene,
                                 const char *words,
                                 const char *const *lines,
                                 const char *const *next,
                                 char **ret_document);

#endif
