//! Persistence: INFO's section on snapshots, by Redis's names where the meaning is the same.

use std::fmt::Write;

use super::Page;

/// Nothing is copied because a snapshot is taken but what changes meanwhile, so `current_cow_size` and its like are left out.
pub(super) fn section(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    let first = page.reports.iter().find(|report| report.core == 0).map(|report| report.snapshot.clone());
    let first = first.unwrap_or_default();
    let seconds = |ms: Option<u64>| ms.map_or(-1, |ms| (ms / 1000).cast_signed());
    let saving_ms = first.saving_since_ms.map(|since_ms| page.now_ms.saturating_sub(since_ms));
    let loading = page.reports.iter().any(|report| report.snapshot.loading);
    writeln!(text, "loading:{}\nasync_loading:0", u8::from(loading))?;
    writeln!(text, "current_save_keys_processed:{}", page.sum(|core| core.snapshot.walk.0))?;
    writeln!(text, "current_save_keys_total:{}", page.sum(|core| core.snapshot.walk.1))?;
    writeln!(text, "current_save_bytes:{}", page.sum(|core| core.snapshot.walk.2))?;
    writeln!(text, "rdb_changes_since_last_save:{}", page.sum(|core| core.snapshot.changes))?;
    writeln!(text, "rdb_bgsave_in_progress:{}", u8::from(first.saving_since_ms.is_some()))?;
    writeln!(text, "rdb_last_save_time:{}", first.saved_ms / 1000)?;
    writeln!(text, "rdb_last_bgsave_status:{}", if first.failed { "err" } else { "ok" })?;
    writeln!(text, "rdb_last_bgsave_time_sec:{}", seconds(first.took_ms))?;
    writeln!(text, "rdb_current_bgsave_time_sec:{}", seconds(saving_ms))?;
    writeln!(text, "rdb_saves:{}", first.saves)?;
    writeln!(text, "rdb_last_load_keys_expired:{}", first.expired)?;
    writeln!(text, "rdb_last_load_keys_loaded:{}", first.loaded)?;
    writeln!(text, "aof_enabled:0\naof_rewrite_in_progress:0\naof_rewrite_scheduled:0")?;
    writeln!(text, "aof_last_rewrite_time_sec:-1\naof_current_rewrite_time_sec:-1")?;
    writeln!(text, "aof_last_bgrewrite_status:ok\naof_last_write_status:ok")?;
    if !loading {
        return Ok(());
    }
    // What a core has been sent last is the furthest that reading has got.
    let (read, total) = (page.max(|core| core.snapshot.load.0), page.max(|core| core.snapshot.load.1));
    let began = page.reports.iter().map(|core| core.snapshot.load.2).filter(|began_ms| *began_ms > 0).min();
    let passed_s = began.map_or(0, |began_ms| page.now_ms.saturating_sub(began_ms) / 1000);
    let eta_s = passed_s.saturating_mul(total.saturating_sub(read)).checked_div(read).unwrap_or(1);
    writeln!(text, "loading_start_time:{}", began.unwrap_or(page.now_ms) / 1000)?;
    writeln!(text, "loading_total_bytes:{total}\nloading_loaded_bytes:{read}")?;
    writeln!(text, "loading_loaded_perc:{:.2}", super::percent(read, total))?;
    writeln!(text, "loading_eta_seconds:{eta_s}")
}
