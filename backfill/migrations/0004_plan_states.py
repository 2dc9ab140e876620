"""Totals of plans that are over, and CHECKs that tie a plan's state to its other columns."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('backfill', '0003_names_end_with_their_last_character'),
        ('instances', '0004_batch_notes'),
    ]

    operations = [
        migrations.AddField(
            model_name='plan',
            name='failed_count',
            field=models.PositiveIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='plan',
            name='succeeded_count',
            field=models.PositiveIntegerField(editable=False, null=True),
        ),
        migrations.AlterField(
            model_name='plan',
            name='state',
            field=models.CharField(choices=[('draft', 'Draft'), ('expanding', 'Expanding'), ('running', 'Running'), ('paused', 'Paused'), ('completed', 'Completed'), ('terminated', 'Terminated')], default='draft', editable=False, max_length=24),
        ),
        # A plan without instances had no end. And all are settled anew, which counts their totals.
        migrations.RunSQL(
            "UPDATE backfill_plan SET ended_at = submitted_at"
            " WHERE state IN ('completed', 'terminated') AND ended_at IS NULL;"
            "INSERT INTO instances_batchnote (batch_id)"
            " SELECT batch_id FROM backfill_plan WHERE batch_id IS NOT NULL",
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name='plan',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['completed', 'draft', 'expanding', 'running', 'terminated'])), name='plan_state_is_stored'),
        ),
        migrations.AddConstraint(
            model_name='plan',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('batch__isnull', True), ('state', 'draft'), ('submitted_at__isnull', True)), models.Q(models.Q(('state', 'draft'), _negated=True), ('batch__isnull', False), ('submitted_at__isnull', False)), _connector='OR'), name='plan_has_a_batch_once_submitted'),
        ),
        migrations.AddConstraint(
            model_name='plan',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', False), ('state__in', ['completed', 'terminated'])), models.Q(models.Q(('state__in', ['completed', 'terminated']), _negated=True), ('ended_at__isnull', True), ('failed_count__isnull', True), ('succeeded_count__isnull', True)), _connector='OR'), name='plan_ended_when_over'),
        ),
        migrations.AddConstraint(
            model_name='plan',
            constraint=models.CheckConstraint(condition=models.Q(('expanded_count', models.F('planned_count')), models.Q(('expanded_count__lt', models.F('planned_count')), models.Q(('state__in', ['completed', 'running']), _negated=True)), _connector='OR'), name='plan_runs_when_all_is_made'),
        ),
    ]
