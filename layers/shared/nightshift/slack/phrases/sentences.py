"""Phrases that are titles or sentences."""

from __future__ import annotations

from nightshift.slack.phrases.forms import Phrase, counted


class Sentences:
    """Phrases that fill a whole line."""

    cleanup_title = Phrase("💾 DB Cleanup Report", "💾 DB Cleanup Report")
    preview_title = Phrase("🧪 DB Cleanup Report (미리보기)", "🧪 DB Cleanup Report (preview)")
    restore_title = Phrase("♻️ DB Restore Report", "♻️ DB Restore Report")
    restore_preview_title = Phrase("🧪 DB Restore Report (미리보기)", "🧪 DB Restore Report (preview)")
    expiry_title = Phrase("🧹 만료 작업 정리", "🧹 Expired jobs cleanup")
    expiry_preview_title = Phrase("🧪 만료 작업 정리 (미리보기)", "🧪 Expired jobs cleanup (preview)")
    feedback_title = Phrase("🧠 AI Feedback Loop Report", "🧠 AI Feedback Loop Report")
    feedback_preview_title = Phrase("🧪 AI Feedback Loop Report (미리보기)", "🧪 AI Feedback Loop Report (preview)")
    reembed_title = Phrase("🧬 문서 재임베딩 Report", "🧬 Re-embedding Report")
    reembed_preview_title = Phrase("🧪 문서 재임베딩 Report (미리보기)", "🧪 Re-embedding Report (preview)")
    backup_title = Phrase("🗄️ 백업 완료: {name}", "🗄️ Backup complete: {name}")
    backup_unfinished_title = Phrase("⏳ 백업 진행 중: {name}", "⏳ Backup under way: {name}")
    backup_preview_title = Phrase("🧪 백업 미리보기: {name}", "🧪 Backup preview: {name}")
    rehearsal_title = Phrase("🧪 백업 복원 리허설: {name}", "🧪 Restore rehearsal: {name}")
    rehearsal_preview_title = Phrase("🧪 백업 복원 리허설 (미리보기): {name}", "🧪 Restore rehearsal (preview): {name}")
    restored_backup_title = Phrase("♻️ 백업 복원: {name}", "♻️ Backup restored: {name}")
    restored_backup_preview_title = Phrase("🧪 백업 복원 (미리보기): {name}", "🧪 Backup restore (preview): {name}")
    failed_title = Phrase("🚨 {job} 실행 실패", "🚨 {job} failed")
    done = Phrase("✅ {job} 작업을 마쳤습니다.", "✅ {job} has finished.")
    done_in_part = Phrase("⚠️ {job} 작업을 끝까지 마치지 못했습니다.", "⚠️ {job} did not get everything done.")
    nothing = Phrase(
        "✅ 백업할 오래된 로그가 없습니다. (기준: {cutoff})", "✅ No old logs to back up. (cutoff: {cutoff})"
    )
    partial = Phrase(
        "⏳ 일부만 처리했습니다. 남은 행은 다음 실행에서 이어서 처리합니다.",
        "⏳ Done in part. The next run goes on with the rows that are left.",
    )
    refused = Phrase("⛔ 안전장치가 작동해 중단했습니다: {guard}", "⛔ Stopped by a guard: {guard}")
    untouched = Phrase("삭제된 행은 없습니다.", "No rows were deleted.")
    nothing_to_restore = Phrase("✅ 복원할 객체가 없습니다.", "✅ No objects to restore.")
    restored_in_part = Phrase("⚠️ 일부만 복원했습니다.", "⚠️ Restored in part.")
    nothing_restored = Phrase("복원된 행은 없습니다.", "No rows were restored.")
    damaged = counted(
        "❌ 손상되어 복원하지 못한 객체: {count}건",
        "❌ {count} damaged objects were not restored",
        one="❌ {count} damaged object was not restored",
    )
    about_columns = Phrase("💡 컬럼 참고 사항", "💡 About the columns")
    nothing_expired = Phrase("✅ 만료된 작업이 없습니다. (기준: {moment})", "✅ No expired jobs. (as of {moment})")
    files_failed = counted(
        "❌ 파일 {count}개를 삭제하지 못했습니다. 다시 시도합니다.",
        "❌ {count} files were not deleted and will be tried again.",
        one="❌ {count} file was not deleted and will be tried again.",
    )
    files_waiting = counted("⏳ 삭제 대기 중인 파일: {count}개", "⏳ Files waiting to be deleted: {count}")
    rows_busy = counted(
        "⏳ 다른 작업이 사용 중인 {count}건은 다음 실행에서 처리합니다.",
        "⏳ {count} rows that are in use were left for the next run.",
        one="⏳ {count} row that is in use was left for the next run.",
    )
    rows_failed = counted(
        "❌ 데이터베이스가 {count}건의 삭제를 거부했습니다.",
        "❌ The database refused to delete {count} rows.",
        one="❌ The database refused to delete {count} row.",
    )
    feedback_preview_note = Phrase(
        "💡 미리보기입니다. 판단을 기록하지 않았고 재임베딩도 시작하지 않았습니다.",
        "💡 This is a preview. No decision was recorded, and no re-embedding was started.",
    )
    decided_before = Phrase(
        "♻️ 이 날의 판단은 이전 실행에서 이미 기록했습니다.", "♻️ An earlier run has decided on this day."
    )
    retraining_started = Phrase("🔁 문서 재임베딩을 시작했습니다.", "🔁 Re-embedding of the documents was started.")
    not_started_again = Phrase("재임베딩을 두 번 시작하지 않습니다.", "Re-embedding is not started twice.")
    start_unknown = Phrase(
        "⏳ 재임베딩이 시작되었는지 확인하지 못했습니다. 다시 실행하면 같은 판단으로 이어서 처리합니다.",
        "⏳ Nobody knows yet whether re-embedding was started. The next attempt goes on from this decision.",
    )
    worst_groups = Phrase("📌 부정 비율이 높은 그룹", "📌 Highest negative ratios")
    group = Phrase("{group}: {ratio} ({total} 중 👎 {dislikes})", "{group}: {ratio} (👎 {dislikes} of {total})")
    nothing_to_embed = Phrase("✅ 다시 임베딩할 문서가 없습니다.", "✅ No documents to embed again.")
    nothing_embedded = Phrase("임베딩한 문서는 없습니다.", "No documents were embedded.")
    embedded_before = Phrase(
        "✅ 이 요청의 재임베딩은 이미 끝났습니다. 다시 처리하지 않았습니다.",
        "✅ This request was finished before. Nothing was done again.",
    )
    model_switched = Phrase(
        "🔀 검색이 새 모델의 임베딩으로 전환되었습니다.", "🔀 Searches use the new model's embeddings from now on."
    )
    embedding_goes_on = counted(
        "⏳ 남은 문서 {count}건을 바로 이어서 처리합니다.",
        "⏳ {count} documents are left and will be done right away.",
        one="⏳ {count} document is left and will be done right away.",
    )
    embedding_left = counted(
        "⏳ 남은 문서 {count}건은 다음 실행에서 처리합니다.",
        "⏳ {count} documents are left for the next run.",
        one="⏳ {count} document is left for the next run.",
    )
    poisoned = counted(
        "⚠️ 모델이 거부해 제외한 문서: {count}건 (본문이 바뀌면 다시 시도합니다)",
        "⚠️ {count} documents that the model does not take were set aside until their text changes",
        one="⚠️ {count} document that the model does not take was set aside until its text changes",
    )
    backed_up_before = Phrase(
        "✅ 이 시각의 백업은 이미 있습니다: {name}", "✅ The backup of this time exists already: {name}"
    )
    nothing_to_save = Phrase("✅ 백업할 데이터가 없습니다.", "✅ There is nothing to back up.")
    no_backup_made = Phrase("새로 만들어진 백업은 없습니다.", "No backup was made.")
    backup_shrunk = Phrase(
        "🚨 직전 백업({before})의 절반도 되지 않습니다. 데이터가 사라지지 않았는지 확인하세요.",
        "🚨 Less than half of the backup before ({before}). Look whether data has been lost.",
    )
    backup_goes_on = counted(
        "남은 테이블 {count}개를 다음 실행에서 이어서 저장합니다. 모두 저장할 때까지 이 백업으로는 복원할 수 없습니다.",
        "{count} tables are left for the next run. Until then nothing can be restored from it.",
        one="{count} table is left for the next run. Until then nothing can be restored from it.",
    )
    backup_lacks = counted(
        "🚨 저장하지 못한 항목이 {count}건 있습니다. 나머지는 모두 저장했습니다. 아래에서 원인을 확인하세요.",
        "🚨 {count} items could not be saved; all the rest was. See below for the causes.",
        one="🚨 {count} item could not be saved; all the rest was. See below for the cause.",
    )
    backup_in_groups = counted(
        "⚠️ 시점이 서로 다른 {count}개 그룹으로 저장했습니다. 같은 그룹 안에서만 시점이 일치합니다.",
        "⚠️ Saved as {count} groups of tables, each of a moment of its own.",
    )
    none_proven = Phrase("⚠️ 복원이 확인된 백업이 아직 없습니다.", "⚠️ No backup has been proven by a restore yet.")
    proven_long_ago = Phrase(
        "⚠️ 복원을 확인한 지 오래되었습니다. 리허설이 실행되는지 확인하세요.",
        "⚠️ No restore has been proven for a long time. Look whether the rehearsal runs.",
    )
    not_in_backup = counted("💡 백업에 들어 있지 않은 항목: {count}건", "💡 Not in the backup: {count}")
    warnings_told = counted("⚠️ 경고: {count}건", "⚠️ Warnings: {count}")
    no_backup_yet = Phrase("⚠️ 복원할 수 있는 백업이 없습니다.", "⚠️ There is no backup that could be restored.")
    comes_back = Phrase(
        "✅ 복원을 확인했습니다. 스키마, 행 수, 내용이 모두 백업과 일치합니다.",
        "✅ Proven: schema, row counts and contents came back as they were saved.",
    )
    comes_back_but_for = Phrase(
        "✅ 아래 항목을 제외하고 복원을 확인했습니다.", "✅ Proven, except for what is listed below."
    )
    environment_differs = counted(
        "🧭 서버 환경 차이: {count}건", "🧭 What this server or the role cannot have: {count}"
    )
    is_as_saved = Phrase("✅ 복원한 데이터가 백업과 일치합니다.", "✅ What was restored is as it was saved.")
    is_as_saved_but_for = Phrase(
        "✅ 아래 항목을 제외하면 복원한 데이터가 백업과 일치합니다.",
        "✅ What was restored is as it was saved, except for what is listed below.",
    )
    not_stamped = Phrase(
        "⚠️ 차이는 없지만, 복원 확인 기록을 남기지 못했습니다.",
        "⚠️ Nothing differs, but the backup could not be marked as proven.",
    )
    not_as_saved = Phrase("🚨 복원한 데이터가 백업과 다릅니다.", "🚨 What was restored is not as it was saved.")
    differs = counted("📌 백업과 다른 점: {count}건", "📌 Differences: {count}")
    but_for = counted("📌 원래대로 되돌릴 수 없는 항목: {count}건", "📌 Could not come back as it was: {count}")
    tables_not_restored = counted(
        "⏳ 시간이 부족해 복원하지 못한 테이블: {count}개", "⏳ Tables not restored for want of time: {count}"
    )
    table_failed = Phrase("❌ 처리 중 실패했습니다: {error}", "❌ Failed: {error}")
    table_failed_above = Phrase(
        "❌ 위 오류로 중단했습니다. 그전까지 처리한 내역은 다음과 같습니다.",
        "❌ Stopped by the error above. This was done before:",
    )
    preview_note = Phrase(
        "💡 미리보기입니다. 저장하거나 삭제한 데이터는 없습니다.",
        "💡 This is a preview. Nothing was stored or deleted.",
    )
    run_refused = Phrase(
        "⏸️ {job} 실행을 건너뛰었습니다. 같은 작업이 이미 실행 중입니다.",
        "⏸️ {job} was skipped: the same job is already running.",
    )
    unexpected = Phrase("예상하지 못한 오류가 발생했습니다.", "An unexpected error occurred.")
    look_in_log = Phrase("CloudWatch 로그에서 원인을 확인하세요.", "The CloudWatch log has the cause.")
    tables_left_out = counted("… 외 {count}개 테이블", "… and {count} more tables", one="… and {count} more table")
    warnings_left_out = counted("… 외 경고 {count}건", "… and {count} more warnings", one="… and {count} more warning")
    entries_left_out = counted("… 외 {count}건", "… and {count} more")
